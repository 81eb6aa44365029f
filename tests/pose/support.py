"""Small annotation files for the pose tests."""
import json

import cv2
import numpy as np

from sapiens_mm.pose.skeletons import get_skeleton

GROUP_KEYS = dict(body='keypoints', feet='foot_kpts', face='face_kpts', left_hand='lefthand_kpts', right_hand='righthand_kpts')


def person(rng, ann_id, image_id, num_keypoints, box=(40., 30., 120., 160.)):
    """An annotation with every keypoint labelled inside the box."""
    x, y, w, h = box
    points = np.stack([x + rng.uniform(.1, .9, num_keypoints) * w, y + rng.uniform(.1, .9, num_keypoints) * h,
                       np.full(num_keypoints, 2.)], 1).round(2)
    ann = dict(id=ann_id, image_id=image_id, category_id=1, iscrowd=0, bbox=list(box), area=w * h * .6, num_keypoints=num_keypoints)
    if num_keypoints == 133:
        ann.update({key: points[list(get_skeleton(133).groups[name])].reshape(-1).tolist() for name, key in GROUP_KEYS.items()})
    else:
        ann['keypoints'] = points.reshape(-1).tolist()
    return ann


def write_set(folder, num_keypoints, num_images=3, people=2, size=(240, 200), name='anns.json', pictures=True):
    """Write images and a COCO json below ``folder``; returns the json's path and content."""
    rng = np.random.default_rng(0)
    height, width = size
    images = [dict(id=i + 1, file_name=f'{i + 1:03d}.jpg', height=height, width=width) for i in range(num_images)]
    if pictures:
        for image in images:
            noise = cv2.resize(rng.integers(0, 256, (6, 5, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(folder / image['file_name']), noise)
    anns = [person(rng, 10 * image['id'] + j, image['id'], num_keypoints, (10. + 30 * j, 20. + 5 * j, 90., 170.))
            for image in images for j in range(people)]
    content = dict(info={}, images=images, annotations=anns, categories=[dict(id=1, name='person')])
    return save(folder / name, content), content


def save(path, content):
    path.write_text(json.dumps(content))
    return str(path)
