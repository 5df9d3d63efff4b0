"""What runs on a host beside the platform: the keeper and the supervisors. Standard library only, no Django, no database."""
