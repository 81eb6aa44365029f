# COCO, 17 keypoints (Lin et al., ECCV 2014).
_base_ = './pose_topdown.py'

dataset_type = 'CocoDataset'  # MMPoseInferencer chooses its person detector by it
data_root = 'data/coco/'

train_dataloader = dict(
    dataset=dict(
        type='sapiens_mm.CocoDataset',
        data_root=data_root,
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
        min_visible_keypoints=3,
        pipeline={{_base_.train_pipeline}}))
val_dataloader = dict(
    dataset=dict(
        type='sapiens_mm.CocoDataset',
        data_root=data_root,
        ann_file='annotations/person_keypoints_val2017.json',
        data_prefix=dict(img='val2017/'),
        # mmpose's usual detections; the paper's figures are with COCO_val2017_detections_AP_H_70_person.json.
        # None evaluates with the annotated boxes.
        bbox_file='data/coco/person_detection_results/COCO_val2017_detections_AP_H_56_person.json',
        test_mode=True,
        pipeline={{_base_.val_pipeline}}))
test_dataloader = val_dataloader

val_evaluator = dict(type='CocoMetric')  # of the annotation file of the data set
test_evaluator = val_evaluator
