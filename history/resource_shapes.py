"""How the use of memory and processors over time looks over the API."""

from typing import Any

from rest_framework import serializers


class PointShape(serializers.Serializer[Any]):
    seconds = serializers.FloatField(help_text="Since the script began.")
    memory_bytes = serializers.IntegerField(help_text="Of all its processes together.")
    processors = serializers.FloatField(help_text="How many it kept busy since the point before.")


class CurveShape(serializers.Serializer[Any]):
    position = serializers.IntegerField(source="step.position")
    name = serializers.CharField(source="step.name")
    attempt = serializers.IntegerField(source="step.attempt")
    points = PointShape(many=True)


class ResourcesShape(serializers.Serializer[Any]):
    steps = CurveShape(many=True)
