# Normals of rendered people (Khirodkar et al., ECCV 2024, section 3.6): rgb/, mask/ and normal/, files as for normal_general.py.
# data/backgrounds/ holds pictures without people, for example BG-20k; without such a folder build on normal_general.py.
_base_ = './normal_general.py'

data_root = 'data/render_people/'
data_prefix = dict(img_path='rgb', mask_path='mask', normal_path='normal')
background = dict(type='sapiens_mm.RandomBackground', backgrounds='data/backgrounds/', prob=0.5)

train_pipeline = [*_base_.train_pipeline[:3], background, *_base_.train_pipeline[3:]]
# In the released recipe the person's colours move all the way to the background's.
fidelity_train_pipeline = [
    *_base_.fidelity_train_pipeline[:3],
    dict(background, color_transfer=1., ignored_is_foreground=True),
    *_base_.fidelity_train_pipeline[3:],
]

train_dataloader = dict(
    dataset=dict(data_root=data_root + 'train/', data_prefix=data_prefix, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root + 'val/', data_prefix=data_prefix))
test_dataloader = val_dataloader
