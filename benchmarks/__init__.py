"""Side by side with PyTorch: ``python -m benchmarks``; results/ holds what was recorded."""
