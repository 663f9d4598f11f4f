"""The names of the forms and of their record, for those who need no torch."""

from typing import Literal

Form = Literal["onnx", "torch", "int8", "onnx-int8", "c", "web"]
"""What a model leaves as."""
RECORD = "export.json"
"""The file that tells of an export, in its folder."""
