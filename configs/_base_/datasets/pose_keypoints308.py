# The 308 keypoints of Sapiens, as COCO json with 308 x 3 numbers in `keypoints`, or the reference evaluation set's group keys.
_base_ = './pose_topdown.py'

dataset_type = 'CocoWholeBodyDataset'  # MMPoseInferencer chooses its person detector by it
data_root = 'data/keypoints308/'

train_dataloader = dict(
    dataset=dict(
        type='sapiens_mm.Keypoints308Dataset',
        data_root=data_root,
        ann_file='annotations/keypoints308_train.json',
        data_prefix=dict(img='images/train/'),
        min_visible_keypoints=8,
        pipeline={{_base_.train_pipeline}}))
val_dataloader = dict(
    dataset=dict(
        type='sapiens_mm.Keypoints308Dataset',
        data_root=data_root,
        ann_file='annotations/keypoints308_val.json',
        data_prefix=dict(img='images/val/'),
        test_mode=True,
        pipeline={{_base_.val_pipeline}}))
test_dataloader = val_dataloader

val_evaluator = dict(type='sapiens_mm.Keypoints308Metric')
test_evaluator = val_evaluator
