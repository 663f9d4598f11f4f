"""The names of the forms, for those who need no torch."""

from typing import Literal

Form = Literal["onnx", "torch", "int8", "onnx-int8", "c", "web"]
"""What a model leaves as."""
