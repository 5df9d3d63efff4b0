from django_q.brokers.orm import ORM


class BellBroker(ORM):
    pass
