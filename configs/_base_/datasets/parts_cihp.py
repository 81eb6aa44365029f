# CIHP, 20 classes (Gong et al., ECCV 2018), in the layout of its download. The recipe is that of LIP.
_base_ = './parts_lip.py'

data_root = 'data/cihp/'

train_pipeline = [dict(step, vocabulary='cihp20') if 'vocabulary' in step else step for step in _base_.train_pipeline]
fidelity_train_pipeline = [
    dict(step, vocabulary='cihp20') if 'vocabulary' in step else step for step in _base_.fidelity_train_pipeline
]
test_pipeline = [dict(step, vocabulary='cihp20') if 'vocabulary' in step else step for step in _base_.test_pipeline]
val_pipeline = test_pipeline

train_dataloader = dict(
    dataset=dict(
        vocabulary='cihp20',
        data_root=data_root,
        data_prefix=dict(img_path='Training/Images', seg_map_path='Training/Category_ids'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        vocabulary='cihp20',
        data_root=data_root,
        data_prefix=dict(img_path='Validation/Images', seg_map_path='Validation/Category_ids'),
        pipeline=val_pipeline))
test_dataloader = val_dataloader
