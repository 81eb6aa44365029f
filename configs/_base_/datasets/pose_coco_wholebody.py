# COCO-WholeBody, 133 keypoints (Jin et al., ECCV 2020), on the images of COCO.
_base_ = './pose_topdown.py'

dataset_type = 'CocoWholeBodyDataset'  # MMPoseInferencer chooses its person detector by it
data_root = 'data/coco/'

train_dataloader = dict(
    dataset=dict(
        type='sapiens_mm.CocoWholeBodyDataset',
        data_root=data_root,
        ann_file='annotations/coco_wholebody_train_v1.0.json',
        data_prefix=dict(img='train2017/'),
        min_visible_keypoints=8,
        pipeline={{_base_.train_pipeline}}))
val_dataloader = dict(
    dataset=dict(
        type='sapiens_mm.CocoWholeBodyDataset',
        data_root=data_root,
        ann_file='annotations/coco_wholebody_val_v1.0.json',
        data_prefix=dict(img='val2017/'),
        # mmpose's usual detections; the paper's figures are with COCO_val2017_detections_AP_H_70_person.json.
        # None evaluates with the annotated boxes.
        bbox_file='data/coco/person_detection_results/COCO_val2017_detections_AP_H_56_person.json',
        test_mode=True,
        pipeline={{_base_.val_pipeline}}))
test_dataloader = val_dataloader

val_evaluator = dict(type='CocoWholeBodyMetric')  # of the annotation file of the data set
test_evaluator = val_evaluator
