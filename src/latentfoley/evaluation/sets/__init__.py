"""What is compared: recordings in folders, manifests and data sets, and what a model generates."""
