"""2-D pose: 17, 133 or 308 keypoints of each person."""
