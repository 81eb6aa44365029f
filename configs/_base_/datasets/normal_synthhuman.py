# Normals from public data. Training: SynthHuman (Saleh et al., ICCV 2025), rgb_N.png, alpha_N.png and normal_N.exr in one folder;
# its licence is its authors' (see their page) and yours to keep. The page does not say how the axes point; assumed is what its
# own script shows, x, y and z as OpenCV reads them, towards right, up and camera. Maps that mostly point away from the camera are
# counted and refused: turn `axes` of LoadNormal then.
# Evaluation: renders of THuman2.0 scans (Yu et al., CVPR 2021) that you make, in the folders images/, masks/ and normals/;
# renders of Hi4D (Yin et al., CVPR 2023) in the same folders with
# --cfg-options test_dataloader.dataset.data_root=data/hi4d_renders/
_base_ = './normal_general.py'

data_root = 'data/synthhuman/'

load = [
    dict(type='sapiens_mm.LoadDenseImage'),
    dict(type='sapiens_mm.LoadMask', threshold=127),
    dict(type='sapiens_mm.LoadNormal', axes=('x', 'y', 'z')),
]
train_pipeline = [*load, *_base_.train_pipeline[3:]]
fidelity_train_pipeline = [*load, *_base_.fidelity_train_pipeline[3:]]

train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(img_path='', mask_path='', normal_path=''),
        name_prefix=dict(img_path='rgb_', mask_path='alpha_', normal_path='normal_'),
        img_suffixes=('.png', ),
        mask_suffixes=('.png', ),
        map_suffixes=('.exr', ),
        pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root='data/thuman2_renders/'))
test_dataloader = val_dataloader
