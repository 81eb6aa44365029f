# 308 keypoints and COCO-WholeBody, whose points go into the 308 slots by name; evaluated on the points that both have.
# Further sets join in the same way: COCO with `source=17` and 4 visible keypoints.
_base_ = './pose_topdown.py'

dataset_type = 'CocoWholeBodyDataset'  # MMPoseInferencer chooses its person detector by it

train_dataloader = dict(
    dataset=dict(
        type='sapiens_mm.Mixed308Dataset',
        min_visible_keypoints=[8, 8],
        datasets=[
            dict(
                type='sapiens_mm.Keypoints308Dataset',
                data_root='data/keypoints308/',
                ann_file='annotations/keypoints308_train.json',
                data_prefix=dict(img='images/train/')),
            dict(
                type='sapiens_mm.CocoWholeBodyDataset',
                data_root='data/coco/',
                ann_file='annotations/coco_wholebody_train_v1.0.json',
                data_prefix=dict(img='train2017/'),
                pipeline=[dict(type='sapiens_mm.MapKeypoints', source=133)]),
        ],
        pipeline={{_base_.train_pipeline}}))
val_dataloader = dict(
    dataset=dict(
        type='sapiens_mm.Mixed308Dataset',
        datasets=[
            dict(
                type='sapiens_mm.CocoWholeBodyDataset',
                data_root='data/coco/',
                ann_file='annotations/coco_wholebody_val_v1.0.json',
                data_prefix=dict(img='val2017/'),
                # mmpose's usual detections; None evaluates with the annotated boxes.
                bbox_file='data/coco/person_detection_results/COCO_val2017_detections_AP_H_56_person.json',
                test_mode=True,
                pipeline=[dict(type='sapiens_mm.MapKeypoints', source=133)]),
        ],
        test_mode=True,
        pipeline={{_base_.val_pipeline}}))
test_dataloader = val_dataloader

val_evaluator = dict(type='sapiens_mm.CommonKeypointsMetric', tier='certain')
test_evaluator = val_evaluator
