"""Which net and which training suit a folder of images, a device and the time there is."""
