"""A model leaves the house: ONNX, torch.export, web page, int8, C; each checked against the model it came from."""
