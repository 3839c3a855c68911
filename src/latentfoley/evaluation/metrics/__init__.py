"""The metrics, one file each: arrays → one `Score`."""
