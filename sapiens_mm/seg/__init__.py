"""Body-part segmentation."""
