"""The model behind one door: a bundle becomes a classifier that has proven itself on its golden pictures."""

from edge.classify.golden import check_golden
from edge.classify.heat import DefectMap, LiveMap
from edge.classify.tflite import TfliteClassifier, installed_runtimes

__all__ = ["DefectMap", "LiveMap", "TfliteClassifier", "check_golden", "installed_runtimes"]
