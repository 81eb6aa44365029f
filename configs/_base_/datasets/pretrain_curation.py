# How tools/dataset_converters/curate_images.py chooses pictures of people. A detector and filters of your own: the dotted path of a
# function or class; a detector takes a list of BGR pictures and returns (boxes, scores) of the people in each, a filter takes one
# and returns a word such as 'watermark', 'text' or 'drawing', or None.
detector = dict(type='sapiens_mm.pretrain.curation.RTMDetPerson', model='rtmdet-m', weights=None, device='cpu')
quality = dict(min_score=0.9, min_side=300)
filters = []
max_distance = 3  # bits of 64 that the perceptual hashes of near duplicates differ in; None keeps duplicates
batch_size = 16
unit_size = 2000  # pictures of a folder that are worked on as one; a shard is one
