"""Skeletons: what a keypoint id means, which id mirrors it, how OKS weighs it and how it is drawn."""
from sapiens_mm.pose.skeletons.skeleton import Skeleton, common_keypoints, get_skeleton

__all__ = ['Skeleton', 'common_keypoints', 'get_skeleton']
