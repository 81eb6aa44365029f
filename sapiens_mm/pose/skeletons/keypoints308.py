"""The 308 keypoints of Sapiens: names, mirror partners, OKS sigmas, groups, colours and links.

Figures from the release of Sapiens (Khirodkar et al., ECCV 2024): the 344 annotated points without the 36 of the teeth.
Mirror partners are a table on purpose: left and right points do not share their numbering
(``r_midpoint_1_of_upper_lash_line`` mirrors ``l_midpoint_2_of_upper_lash_line``), so names cannot be rewritten.
"""

# (name, mirror partner's id, OKS sigma, half of the body for half-body augmentation, group, RGB colour)
KEYPOINTS = (
    ('nose', 0, 0.026, 'upper', 'body', (51, 153, 255)),  # 0
    ('left_eye', 2, 0.025, 'upper', 'body', (51, 153, 255)),  # 1
    ('right_eye', 1, 0.025, 'upper', 'body', (51, 153, 255)),  # 2
    ('left_ear', 4, 0.035, 'upper', 'body', (51, 153, 255)),  # 3
    ('right_ear', 3, 0.035, 'upper', 'body', (51, 153, 255)),  # 4
    ('left_shoulder', 6, 0.079, 'upper', 'body', (51, 153, 255)),  # 5
    ('right_shoulder', 5, 0.079, 'upper', 'body', (51, 153, 255)),  # 6
    ('left_elbow', 8, 0.072, 'upper', 'body', (51, 153, 255)),  # 7
    ('right_elbow', 7, 0.072, 'upper', 'body', (51, 153, 255)),  # 8
    ('left_hip', 10, 0.107, 'lower', 'body', (51, 153, 255)),  # 9
    ('right_hip', 9, 0.107, 'lower', 'body', (51, 153, 255)),  # 10
    ('left_knee', 12, 0.087, 'lower', 'body', (51, 153, 255)),  # 11
    ('right_knee', 11, 0.087, 'lower', 'body', (51, 153, 255)),  # 12
    ('left_ankle', 14, 0.089, 'lower', 'body', (51, 153, 255)),  # 13
    ('right_ankle', 13, 0.089, 'lower', 'body', (51, 153, 255)),  # 14
    ('left_big_toe', 18, 0.068, 'lower', 'feet', (51, 153, 255)),  # 15
    ('left_small_toe', 19, 0.066, 'lower', 'feet', (51, 153, 255)),  # 16
    ('left_heel', 20, 0.066, 'lower', 'feet', (51, 153, 255)),  # 17
    ('right_big_toe', 15, 0.092, 'lower', 'feet', (51, 153, 255)),  # 18
    ('right_small_toe', 16, 0.094, 'lower', 'feet', (51, 153, 255)),  # 19
    ('right_heel', 17, 0.094, 'lower', 'feet', (51, 153, 255)),  # 20
    ('right_thumb4', 42, 0.047, 'upper', 'right_hand', (51, 153, 255)),  # 21
    ('right_thumb3', 43, 0.037, 'upper', 'right_hand', (51, 153, 255)),  # 22
    ('right_thumb2', 44, 0.035, 'upper', 'right_hand', (51, 153, 255)),  # 23
    ('right_thumb_third_joint', 45, 0.022, 'upper', 'right_hand', (51, 153, 255)),  # 24
    ('right_forefinger4', 46, 0.035, 'upper', 'right_hand', (51, 153, 255)),  # 25
    ('right_forefinger3', 47, 0.024, 'upper', 'right_hand', (51, 153, 255)),  # 26
    ('right_forefinger2', 48, 0.025, 'upper', 'right_hand', (51, 153, 255)),  # 27
    ('right_forefinger_third_joint', 49, 0.026, 'upper', 'right_hand', (51, 153, 255)),  # 28
    ('right_middle_finger4', 50, 0.026, 'upper', 'right_hand', (51, 153, 255)),  # 29
    ('right_middle_finger3', 51, 0.022, 'upper', 'right_hand', (51, 153, 255)),  # 30
    ('right_middle_finger2', 52, 0.024, 'upper', 'right_hand', (51, 153, 255)),  # 31
    ('right_middle_finger_third_joint', 53, 0.018, 'upper', 'right_hand', (51, 153, 255)),  # 32
    ('right_ring_finger4', 54, 0.032, 'upper', 'right_hand', (51, 153, 255)),  # 33
    ('right_ring_finger3', 55, 0.021, 'upper', 'right_hand', (51, 153, 255)),  # 34
    ('right_ring_finger2', 56, 0.021, 'upper', 'right_hand', (51, 153, 255)),  # 35
    ('right_ring_finger_third_joint', 57, 0.017, 'upper', 'right_hand', (51, 153, 255)),  # 36
    ('right_pinky_finger4', 58, 0.031, 'upper', 'right_hand', (51, 153, 255)),  # 37
    ('right_pinky_finger3', 59, 0.022, 'upper', 'right_hand', (51, 153, 255)),  # 38
    ('right_pinky_finger2', 60, 0.019, 'upper', 'right_hand', (51, 153, 255)),  # 39
    ('right_pinky_finger_third_joint', 61, 0.02, 'upper', 'right_hand', (51, 153, 255)),  # 40
    ('right_wrist', 62, 0.062, 'upper', 'body', (51, 153, 255)),  # 41
    ('left_thumb4', 21, 0.047, 'upper', 'left_hand', (51, 153, 255)),  # 42
    ('left_thumb3', 22, 0.037, 'upper', 'left_hand', (51, 153, 255)),  # 43
    ('left_thumb2', 23, 0.035, 'upper', 'left_hand', (51, 153, 255)),  # 44
    ('left_thumb_third_joint', 24, 0.022, 'upper', 'left_hand', (51, 153, 255)),  # 45
    ('left_forefinger4', 25, 0.035, 'upper', 'left_hand', (51, 153, 255)),  # 46
    ('left_forefinger3', 26, 0.024, 'upper', 'left_hand', (51, 153, 255)),  # 47
    ('left_forefinger2', 27, 0.025, 'upper', 'left_hand', (51, 153, 255)),  # 48
    ('left_forefinger_third_joint', 28, 0.026, 'upper', 'left_hand', (51, 153, 255)),  # 49
    ('left_middle_finger4', 29, 0.026, 'upper', 'left_hand', (51, 153, 255)),  # 50
    ('left_middle_finger3', 30, 0.022, 'upper', 'left_hand', (51, 153, 255)),  # 51
    ('left_middle_finger2', 31, 0.024, 'upper', 'left_hand', (51, 153, 255)),  # 52
    ('left_middle_finger_third_joint', 32, 0.018, 'upper', 'left_hand', (51, 153, 255)),  # 53
    ('left_ring_finger4', 33, 0.032, 'upper', 'left_hand', (51, 153, 255)),  # 54
    ('left_ring_finger3', 34, 0.021, 'upper', 'left_hand', (51, 153, 255)),  # 55
    ('left_ring_finger2', 35, 0.021, 'upper', 'left_hand', (51, 153, 255)),  # 56
    ('left_ring_finger_third_joint', 36, 0.017, 'upper', 'left_hand', (51, 153, 255)),  # 57
    ('left_pinky_finger4', 37, 0.031, 'upper', 'left_hand', (51, 153, 255)),  # 58
    ('left_pinky_finger3', 38, 0.022, 'upper', 'left_hand', (51, 153, 255)),  # 59
    ('left_pinky_finger2', 39, 0.019, 'upper', 'left_hand', (51, 153, 255)),  # 60
    ('left_pinky_finger_third_joint', 40, 0.02, 'upper', 'left_hand', (51, 153, 255)),  # 61
    ('left_wrist', 41, 0.062, 'upper', 'body', (51, 153, 255)),  # 62
    ('left_olecranon', 64, 0.072, '', 'extra', (51, 153, 255)),  # 63
    ('right_olecranon', 63, 0.072, '', 'extra', (51, 153, 255)),  # 64
    ('left_cubital_fossa', 66, 0.072, '', 'extra', (51, 153, 255)),  # 65
    ('right_cubital_fossa', 65, 0.072, '', 'extra', (51, 153, 255)),  # 66
    ('left_acromion', 68, 0.079, '', 'extra', (51, 153, 255)),  # 67
    ('right_acromion', 67, 0.079, '', 'extra', (51, 153, 255)),  # 68
    ('neck', 69, 0.079, '', 'extra', (51, 153, 255)),  # 69
    ('center_of_glabella', 70, 0.01, '', 'face', (255, 255, 255)),  # 70
    ('center_of_nose_root', 71, 0.01, '', 'face', (255, 255, 255)),  # 71
    ('tip_of_nose_bridge', 72, 0.01, '', 'face', (255, 255, 255)),  # 72
    ('midpoint_1_of_nose_bridge', 73, 0.01, '', 'face', (255, 255, 255)),  # 73
    ('midpoint_2_of_nose_bridge', 74, 0.01, '', 'face', (255, 255, 255)),  # 74
    ('midpoint_3_of_nose_bridge', 75, 0.01, '', 'face', (255, 255, 255)),  # 75
    ('center_of_labiomental_groove', 76, 0.01, '', 'face', (255, 255, 255)),  # 76
    ('tip_of_chin', 77, 0.01, '', 'face', (255, 255, 255)),  # 77
    ('upper_startpoint_of_r_eyebrow', 87, 0.01, '', 'face', (255, 255, 255)),  # 78
    ('lower_startpoint_of_r_eyebrow', 88, 0.01, '', 'face', (255, 255, 255)),  # 79
    ('end_of_r_eyebrow', 89, 0.01, '', 'face', (255, 255, 255)),  # 80
    ('upper_midpoint_1_of_r_eyebrow', 90, 0.01, '', 'face', (255, 255, 255)),  # 81
    ('lower_midpoint_1_of_r_eyebrow', 91, 0.01, '', 'face', (255, 255, 255)),  # 82
    ('upper_midpoint_2_of_r_eyebrow', 93, 0.01, '', 'face', (255, 255, 255)),  # 83
    ('upper_midpoint_3_of_r_eyebrow', 92, 0.01, '', 'face', (255, 255, 255)),  # 84
    ('lower_midpoint_2_of_r_eyebrow', 95, 0.01, '', 'face', (255, 255, 255)),  # 85
    ('lower_midpoint_3_of_r_eyebrow', 94, 0.01, '', 'face', (255, 255, 255)),  # 86
    ('upper_startpoint_of_l_eyebrow', 78, 0.01, '', 'face', (255, 255, 255)),  # 87
    ('lower_startpoint_of_l_eyebrow', 79, 0.01, '', 'face', (255, 255, 255)),  # 88
    ('end_of_l_eyebrow', 80, 0.01, '', 'face', (255, 255, 255)),  # 89
    ('upper_midpoint_1_of_l_eyebrow', 81, 0.01, '', 'face', (255, 255, 255)),  # 90
    ('lower_midpoint_1_of_l_eyebrow', 82, 0.01, '', 'face', (255, 255, 255)),  # 91
    ('upper_midpoint_2_of_l_eyebrow', 84, 0.01, '', 'face', (255, 255, 255)),  # 92
    ('upper_midpoint_3_of_l_eyebrow', 83, 0.01, '', 'face', (255, 255, 255)),  # 93
    ('lower_midpoint_2_of_l_eyebrow', 86, 0.01, '', 'face', (255, 255, 255)),  # 94
    ('lower_midpoint_3_of_l_eyebrow', 85, 0.01, '', 'face', (255, 255, 255)),  # 95
    ('l_inner_end_of_upper_lash_line', 120, 0.01, '', 'face', (192, 64, 128)),  # 96
    ('l_outer_end_of_upper_lash_line', 121, 0.01, '', 'face', (192, 64, 128)),  # 97
    ('l_centerpoint_of_upper_lash_line', 122, 0.01, '', 'face', (192, 64, 128)),  # 98
    ('l_midpoint_2_of_upper_lash_line', 123, 0.01, '', 'face', (192, 64, 128)),  # 99
    ('l_midpoint_1_of_upper_lash_line', 124, 0.01, '', 'face', (192, 64, 128)),  # 100
    ('l_midpoint_6_of_upper_lash_line', 125, 0.01, '', 'face', (192, 64, 128)),  # 101
    ('l_midpoint_5_of_upper_lash_line', 126, 0.01, '', 'face', (192, 64, 128)),  # 102
    ('l_midpoint_4_of_upper_lash_line', 127, 0.01, '', 'face', (192, 64, 128)),  # 103
    ('l_midpoint_3_of_upper_lash_line', 128, 0.01, '', 'face', (192, 64, 128)),  # 104
    ('l_outer_end_of_upper_eyelid_line', 129, 0.01, '', 'face', (192, 64, 128)),  # 105
    ('l_midpoint_6_of_upper_eyelid_line', 130, 0.01, '', 'face', (192, 64, 128)),  # 106
    ('l_midpoint_2_of_upper_eyelid_line', 131, 0.01, '', 'face', (192, 64, 128)),  # 107
    ('l_midpoint_5_of_upper_eyelid_line', 132, 0.01, '', 'face', (192, 64, 128)),  # 108
    ('l_centerpoint_of_upper_eyelid_line', 133, 0.01, '', 'face', (192, 64, 128)),  # 109
    ('l_midpoint_4_of_upper_eyelid_line', 134, 0.01, '', 'face', (192, 64, 128)),  # 110
    ('l_midpoint_1_of_upper_eyelid_line', 135, 0.01, '', 'face', (192, 64, 128)),  # 111
    ('l_midpoint_3_of_upper_eyelid_line', 136, 0.01, '', 'face', (192, 64, 128)),  # 112
    ('l_midpoint_6_of_upper_crease_line', 137, 0.01, '', 'face', (192, 64, 128)),  # 113
    ('l_midpoint_2_of_upper_crease_line', 138, 0.01, '', 'face', (192, 64, 128)),  # 114
    ('l_midpoint_5_of_upper_crease_line', 139, 0.01, '', 'face', (192, 64, 128)),  # 115
    ('l_centerpoint_of_upper_crease_line', 140, 0.01, '', 'face', (192, 64, 128)),  # 116
    ('l_midpoint_4_of_upper_crease_line', 141, 0.01, '', 'face', (192, 64, 128)),  # 117
    ('l_midpoint_1_of_upper_crease_line', 142, 0.01, '', 'face', (192, 64, 128)),  # 118
    ('l_midpoint_3_of_upper_crease_line', 143, 0.01, '', 'face', (192, 64, 128)),  # 119
    ('r_inner_end_of_upper_lash_line', 96, 0.01, '', 'face', (64, 32, 192)),  # 120
    ('r_outer_end_of_upper_lash_line', 97, 0.01, '', 'face', (64, 32, 192)),  # 121
    ('r_centerpoint_of_upper_lash_line', 98, 0.01, '', 'face', (64, 32, 192)),  # 122
    ('r_midpoint_1_of_upper_lash_line', 99, 0.01, '', 'face', (64, 32, 192)),  # 123
    ('r_midpoint_2_of_upper_lash_line', 100, 0.01, '', 'face', (64, 32, 192)),  # 124
    ('r_midpoint_3_of_upper_lash_line', 101, 0.01, '', 'face', (64, 32, 192)),  # 125
    ('r_midpoint_4_of_upper_lash_line', 102, 0.01, '', 'face', (64, 32, 192)),  # 126
    ('r_midpoint_5_of_upper_lash_line', 103, 0.01, '', 'face', (64, 32, 192)),  # 127
    ('r_midpoint_6_of_upper_lash_line', 104, 0.01, '', 'face', (64, 32, 192)),  # 128
    ('r_outer_end_of_upper_eyelid_line', 105, 0.01, '', 'face', (64, 32, 192)),  # 129
    ('r_midpoint_3_of_upper_eyelid_line', 106, 0.01, '', 'face', (64, 32, 192)),  # 130
    ('r_midpoint_1_of_upper_eyelid_line', 107, 0.01, '', 'face', (64, 32, 192)),  # 131
    ('r_midpoint_4_of_upper_eyelid_line', 108, 0.01, '', 'face', (64, 32, 192)),  # 132
    ('r_centerpoint_of_upper_eyelid_line', 109, 0.01, '', 'face', (64, 32, 192)),  # 133
    ('r_midpoint_5_of_upper_eyelid_line', 110, 0.01, '', 'face', (64, 32, 192)),  # 134
    ('r_midpoint_2_of_upper_eyelid_line', 111, 0.01, '', 'face', (64, 32, 192)),  # 135
    ('r_midpoint_6_of_upper_eyelid_line', 112, 0.01, '', 'face', (64, 32, 192)),  # 136
    ('r_midpoint_3_of_upper_crease_line', 113, 0.01, '', 'face', (64, 32, 192)),  # 137
    ('r_midpoint_1_of_upper_crease_line', 114, 0.01, '', 'face', (64, 32, 192)),  # 138
    ('r_midpoint_4_of_upper_crease_line', 115, 0.01, '', 'face', (64, 32, 192)),  # 139
    ('r_centerpoint_of_upper_crease_line', 116, 0.01, '', 'face', (64, 32, 192)),  # 140
    ('r_midpoint_5_of_upper_crease_line', 117, 0.01, '', 'face', (64, 32, 192)),  # 141
    ('r_midpoint_2_of_upper_crease_line', 118, 0.01, '', 'face', (64, 32, 192)),  # 142
    ('r_midpoint_6_of_upper_crease_line', 119, 0.01, '', 'face', (64, 32, 192)),  # 143
    ('l_inner_end_of_lower_lash_line', 161, 0.01, '', 'face', (64, 192, 128)),  # 144
    ('l_outer_end_of_lower_lash_line', 162, 0.01, '', 'face', (64, 192, 128)),  # 145
    ('l_centerpoint_of_lower_lash_line', 163, 0.01, '', 'face', (64, 192, 128)),  # 146
    ('l_midpoint_2_of_lower_lash_line', 164, 0.01, '', 'face', (64, 192, 128)),  # 147
    ('l_midpoint_1_of_lower_lash_line', 165, 0.01, '', 'face', (64, 192, 128)),  # 148
    ('l_midpoint_6_of_lower_lash_line', 166, 0.01, '', 'face', (64, 192, 128)),  # 149
    ('l_midpoint_5_of_lower_lash_line', 167, 0.01, '', 'face', (64, 192, 128)),  # 150
    ('l_midpoint_4_of_lower_lash_line', 168, 0.01, '', 'face', (64, 192, 128)),  # 151
    ('l_midpoint_3_of_lower_lash_line', 169, 0.01, '', 'face', (64, 192, 128)),  # 152
    ('l_outer_end_of_lower_eyelid_line', 170, 0.01, '', 'face', (64, 192, 128)),  # 153
    ('l_midpoint_6_of_lower_eyelid_line', 171, 0.01, '', 'face', (64, 192, 128)),  # 154
    ('l_midpoint_2_of_lower_eyelid_line', 172, 0.01, '', 'face', (64, 192, 128)),  # 155
    ('l_midpoint_5_of_lower_eyelid_line', 173, 0.01, '', 'face', (64, 192, 128)),  # 156
    ('l_centerpoint_of_lower_eyelid_line', 174, 0.01, '', 'face', (64, 192, 128)),  # 157
    ('l_midpoint_4_of_lower_eyelid_line', 175, 0.01, '', 'face', (64, 192, 128)),  # 158
    ('l_midpoint_1_of_lower_eyelid_line', 176, 0.01, '', 'face', (64, 192, 128)),  # 159
    ('l_midpoint_3_of_lower_eyelid_line', 177, 0.01, '', 'face', (64, 192, 128)),  # 160
    ('r_inner_end_of_lower_lash_line', 144, 0.01, '', 'face', (64, 192, 32)),  # 161
    ('r_outer_end_of_lower_lash_line', 145, 0.01, '', 'face', (64, 192, 32)),  # 162
    ('r_centerpoint_of_lower_lash_line', 146, 0.01, '', 'face', (64, 192, 32)),  # 163
    ('r_midpoint_1_of_lower_lash_line', 147, 0.01, '', 'face', (64, 192, 32)),  # 164
    ('r_midpoint_2_of_lower_lash_line', 148, 0.01, '', 'face', (64, 192, 32)),  # 165
    ('r_midpoint_3_of_lower_lash_line', 149, 0.01, '', 'face', (64, 192, 32)),  # 166
    ('r_midpoint_4_of_lower_lash_line', 150, 0.01, '', 'face', (64, 192, 32)),  # 167
    ('r_midpoint_5_of_lower_lash_line', 151, 0.01, '', 'face', (64, 192, 32)),  # 168
    ('r_midpoint_6_of_lower_lash_line', 152, 0.01, '', 'face', (64, 192, 32)),  # 169
    ('r_outer_end_of_lower_eyelid_line', 153, 0.01, '', 'face', (64, 192, 32)),  # 170
    ('r_midpoint_3_of_lower_eyelid_line', 154, 0.01, '', 'face', (64, 192, 32)),  # 171
    ('r_midpoint_1_of_lower_eyelid_line', 155, 0.01, '', 'face', (64, 192, 32)),  # 172
    ('r_midpoint_4_of_lower_eyelid_line', 156, 0.01, '', 'face', (64, 192, 32)),  # 173
    ('r_centerpoint_of_lower_eyelid_line', 157, 0.01, '', 'face', (64, 192, 32)),  # 174
    ('r_midpoint_5_of_lower_eyelid_line', 158, 0.01, '', 'face', (64, 192, 32)),  # 175
    ('r_midpoint_2_of_lower_eyelid_line', 159, 0.01, '', 'face', (64, 192, 32)),  # 176
    ('r_midpoint_6_of_lower_eyelid_line', 160, 0.01, '', 'face', (64, 192, 32)),  # 177
    ('tip_of_nose', 178, 0.01, '', 'face', (0, 192, 0)),  # 178
    ('bottom_center_of_nose', 179, 0.01, '', 'face', (0, 192, 0)),  # 179
    ('r_outer_corner_of_nose', 181, 0.01, '', 'face', (0, 192, 0)),  # 180
    ('l_outer_corner_of_nose', 180, 0.01, '', 'face', (0, 192, 0)),  # 181
    ('inner_corner_of_r_nostril', 185, 0.01, '', 'face', (0, 192, 0)),  # 182
    ('outer_corner_of_r_nostril', 186, 0.01, '', 'face', (0, 192, 0)),  # 183
    ('upper_corner_of_r_nostril', 187, 0.01, '', 'face', (0, 192, 0)),  # 184
    ('inner_corner_of_l_nostril', 182, 0.01, '', 'face', (0, 192, 0)),  # 185
    ('outer_corner_of_l_nostril', 183, 0.01, '', 'face', (0, 192, 0)),  # 186
    ('upper_corner_of_l_nostril', 184, 0.01, '', 'face', (0, 192, 0)),  # 187
    ('r_outer_corner_of_mouth', 189, 0.01, '', 'face', (192, 0, 0)),  # 188
    ('l_outer_corner_of_mouth', 188, 0.01, '', 'face', (192, 0, 0)),  # 189
    ('center_of_cupid_bow', 190, 0.01, '', 'face', (192, 0, 0)),  # 190
    ('center_of_lower_outer_lip', 191, 0.01, '', 'face', (192, 0, 0)),  # 191
    ('midpoint_1_of_upper_outer_lip', 193, 0.01, '', 'face', (192, 0, 0)),  # 192
    ('midpoint_2_of_upper_outer_lip', 192, 0.01, '', 'face', (192, 0, 0)),  # 193
    ('midpoint_1_of_lower_outer_lip', 195, 0.01, '', 'face', (192, 0, 0)),  # 194
    ('midpoint_2_of_lower_outer_lip', 194, 0.01, '', 'face', (192, 0, 0)),  # 195
    ('midpoint_3_of_upper_outer_lip', 199, 0.01, '', 'face', (192, 0, 0)),  # 196
    ('midpoint_4_of_upper_outer_lip', 198, 0.01, '', 'face', (192, 0, 0)),  # 197
    ('midpoint_5_of_upper_outer_lip', 197, 0.01, '', 'face', (192, 0, 0)),  # 198
    ('midpoint_6_of_upper_outer_lip', 196, 0.01, '', 'face', (192, 0, 0)),  # 199
    ('midpoint_3_of_lower_outer_lip', 203, 0.01, '', 'face', (192, 0, 0)),  # 200
    ('midpoint_4_of_lower_outer_lip', 202, 0.01, '', 'face', (192, 0, 0)),  # 201
    ('midpoint_5_of_lower_outer_lip', 201, 0.01, '', 'face', (192, 0, 0)),  # 202
    ('midpoint_6_of_lower_outer_lip', 200, 0.01, '', 'face', (192, 0, 0)),  # 203
    ('r_inner_corner_of_mouth', 205, 0.01, '', 'face', (0, 192, 192)),  # 204
    ('l_inner_corner_of_mouth', 204, 0.01, '', 'face', (0, 192, 192)),  # 205
    ('center_of_upper_inner_lip', 206, 0.01, '', 'face', (0, 192, 192)),  # 206
    ('center_of_lower_inner_lip', 207, 0.01, '', 'face', (0, 192, 192)),  # 207
    ('midpoint_1_of_upper_inner_lip', 209, 0.01, '', 'face', (0, 192, 192)),  # 208
    ('midpoint_2_of_upper_inner_lip', 208, 0.01, '', 'face', (0, 192, 192)),  # 209
    ('midpoint_1_of_lower_inner_lip', 211, 0.01, '', 'face', (0, 192, 192)),  # 210
    ('midpoint_2_of_lower_inner_lip', 210, 0.01, '', 'face', (0, 192, 192)),  # 211
    ('midpoint_3_of_upper_inner_lip', 215, 0.01, '', 'face', (0, 192, 192)),  # 212
    ('midpoint_4_of_upper_inner_lip', 214, 0.01, '', 'face', (0, 192, 192)),  # 213
    ('midpoint_5_of_upper_inner_lip', 213, 0.01, '', 'face', (0, 192, 192)),  # 214
    ('midpoint_6_of_upper_inner_lip', 212, 0.01, '', 'face', (0, 192, 192)),  # 215
    ('midpoint_3_of_lower_inner_lip', 219, 0.01, '', 'face', (0, 192, 192)),  # 216
    ('midpoint_4_of_lower_inner_lip', 218, 0.01, '', 'face', (0, 192, 192)),  # 217
    ('midpoint_5_of_lower_inner_lip', 217, 0.01, '', 'face', (0, 192, 192)),  # 218
    ('midpoint_6_of_lower_inner_lip', 216, 0.01, '', 'face', (0, 192, 192)),  # 219
    ('l_top_end_of_inferior_crus', 246, 0.01, '', 'face', (200, 200, 0)),  # 220
    ('l_top_end_of_superior_crus', 247, 0.01, '', 'face', (200, 200, 0)),  # 221
    ('l_start_of_antihelix', 248, 0.01, '', 'face', (200, 200, 0)),  # 222
    ('l_end_of_antihelix', 249, 0.01, '', 'face', (200, 200, 0)),  # 223
    ('l_midpoint_1_of_antihelix', 250, 0.01, '', 'face', (200, 200, 0)),  # 224
    ('l_midpoint_1_of_inferior_crus', 251, 0.01, '', 'face', (200, 200, 0)),  # 225
    ('l_midpoint_2_of_antihelix', 252, 0.01, '', 'face', (200, 200, 0)),  # 226
    ('l_midpoint_3_of_antihelix', 253, 0.01, '', 'face', (200, 200, 0)),  # 227
    ('l_point_1_of_inner_helix', 254, 0.01, '', 'face', (200, 200, 0)),  # 228
    ('l_point_2_of_inner_helix', 255, 0.01, '', 'face', (200, 200, 0)),  # 229
    ('l_point_3_of_inner_helix', 256, 0.01, '', 'face', (200, 200, 0)),  # 230
    ('l_point_4_of_inner_helix', 257, 0.01, '', 'face', (200, 200, 0)),  # 231
    ('l_point_5_of_inner_helix', 258, 0.01, '', 'face', (200, 200, 0)),  # 232
    ('l_point_6_of_inner_helix', 259, 0.01, '', 'face', (200, 200, 0)),  # 233
    ('l_point_7_of_inner_helix', 260, 0.01, '', 'face', (200, 200, 0)),  # 234
    ('l_highest_point_of_antitragus', 261, 0.01, '', 'face', (200, 200, 0)),  # 235
    ('l_bottom_point_of_tragus', 262, 0.01, '', 'face', (200, 200, 0)),  # 236
    ('l_protruding_point_of_tragus', 263, 0.01, '', 'face', (200, 200, 0)),  # 237
    ('l_top_point_of_tragus', 264, 0.01, '', 'face', (200, 200, 0)),  # 238
    ('l_start_point_of_crus_of_helix', 265, 0.01, '', 'face', (200, 200, 0)),  # 239
    ('l_deepest_point_of_concha', 266, 0.01, '', 'face', (200, 200, 0)),  # 240
    ('l_tip_of_ear_lobe', 267, 0.01, '', 'face', (200, 200, 0)),  # 241
    ('l_midpoint_between_22_15', 268, 0.01, '', 'face', (200, 200, 0)),  # 242
    ('l_bottom_connecting_point_of_ear_lobe', 269, 0.01, '', 'face', (200, 200, 0)),  # 243
    ('l_top_connecting_point_of_helix', 270, 0.01, '', 'face', (200, 200, 0)),  # 244
    ('l_point_8_of_inner_helix', 271, 0.01, '', 'face', (200, 200, 0)),  # 245
    ('r_top_end_of_inferior_crus', 220, 0.01, '', 'face', (0, 200, 200)),  # 246
    ('r_top_end_of_superior_crus', 221, 0.01, '', 'face', (0, 200, 200)),  # 247
    ('r_start_of_antihelix', 222, 0.01, '', 'face', (0, 200, 200)),  # 248
    ('r_end_of_antihelix', 223, 0.01, '', 'face', (0, 200, 200)),  # 249
    ('r_midpoint_1_of_antihelix', 224, 0.01, '', 'face', (0, 200, 200)),  # 250
    ('r_midpoint_1_of_inferior_crus', 225, 0.01, '', 'face', (0, 200, 200)),  # 251
    ('r_midpoint_2_of_antihelix', 226, 0.01, '', 'face', (0, 200, 200)),  # 252
    ('r_midpoint_3_of_antihelix', 227, 0.01, '', 'face', (0, 200, 200)),  # 253
    ('r_point_1_of_inner_helix', 228, 0.01, '', 'face', (0, 200, 200)),  # 254
    ('r_point_8_of_inner_helix', 229, 0.01, '', 'face', (0, 200, 200)),  # 255
    ('r_point_3_of_inner_helix', 230, 0.01, '', 'face', (0, 200, 200)),  # 256
    ('r_point_4_of_inner_helix', 231, 0.01, '', 'face', (0, 200, 200)),  # 257
    ('r_point_5_of_inner_helix', 232, 0.01, '', 'face', (0, 200, 200)),  # 258
    ('r_point_6_of_inner_helix', 233, 0.01, '', 'face', (0, 200, 200)),  # 259
    ('r_point_7_of_inner_helix', 234, 0.01, '', 'face', (0, 200, 200)),  # 260
    ('r_highest_point_of_antitragus', 235, 0.01, '', 'face', (0, 200, 200)),  # 261
    ('r_bottom_point_of_tragus', 236, 0.01, '', 'face', (0, 200, 200)),  # 262
    ('r_protruding_point_of_tragus', 237, 0.01, '', 'face', (0, 200, 200)),  # 263
    ('r_top_point_of_tragus', 238, 0.01, '', 'face', (0, 200, 200)),  # 264
    ('r_start_point_of_crus_of_helix', 239, 0.01, '', 'face', (0, 200, 200)),  # 265
    ('r_deepest_point_of_concha', 240, 0.01, '', 'face', (0, 200, 200)),  # 266
    ('r_tip_of_ear_lobe', 241, 0.01, '', 'face', (0, 200, 200)),  # 267
    ('r_midpoint_between_22_15', 242, 0.01, '', 'face', (0, 200, 200)),  # 268
    ('r_bottom_connecting_point_of_ear_lobe', 243, 0.01, '', 'face', (0, 200, 200)),  # 269
    ('r_top_connecting_point_of_helix', 244, 0.01, '', 'face', (0, 200, 200)),  # 270
    ('r_point_2_of_inner_helix', 245, 0.01, '', 'face', (0, 200, 200)),  # 271
    ('l_center_of_iris', 281, 0.01, '', 'face', (128, 192, 64)),  # 272
    ('l_border_of_iris_3', 286, 0.01, '', 'face', (128, 192, 64)),  # 273
    ('l_border_of_iris_midpoint_1', 285, 0.01, '', 'face', (128, 192, 64)),  # 274
    ('l_border_of_iris_12', 284, 0.01, '', 'face', (128, 192, 64)),  # 275
    ('l_border_of_iris_midpoint_4', 283, 0.01, '', 'face', (128, 192, 64)),  # 276
    ('l_border_of_iris_9', 282, 0.01, '', 'face', (128, 192, 64)),  # 277
    ('l_border_of_iris_midpoint_3', 289, 0.01, '', 'face', (128, 192, 64)),  # 278
    ('l_border_of_iris_6', 288, 0.01, '', 'face', (128, 192, 64)),  # 279
    ('l_border_of_iris_midpoint_2', 287, 0.01, '', 'face', (128, 192, 64)),  # 280
    ('r_center_of_iris', 272, 0.01, '', 'face', (192, 32, 64)),  # 281
    ('r_border_of_iris_3', 277, 0.01, '', 'face', (192, 32, 64)),  # 282
    ('r_border_of_iris_midpoint_1', 276, 0.01, '', 'face', (192, 32, 64)),  # 283
    ('r_border_of_iris_12', 275, 0.01, '', 'face', (192, 32, 64)),  # 284
    ('r_border_of_iris_midpoint_4', 274, 0.01, '', 'face', (192, 32, 64)),  # 285
    ('r_border_of_iris_9', 273, 0.01, '', 'face', (192, 32, 64)),  # 286
    ('r_border_of_iris_midpoint_3', 280, 0.01, '', 'face', (192, 32, 64)),  # 287
    ('r_border_of_iris_6', 279, 0.01, '', 'face', (192, 32, 64)),  # 288
    ('r_border_of_iris_midpoint_2', 278, 0.01, '', 'face', (192, 32, 64)),  # 289
    ('l_center_of_pupil', 299, 0.01, '', 'face', (192, 128, 64)),  # 290
    ('l_border_of_pupil_3', 304, 0.01, '', 'face', (192, 128, 64)),  # 291
    ('l_border_of_pupil_midpoint_1', 303, 0.01, '', 'face', (192, 128, 64)),  # 292
    ('l_border_of_pupil_12', 302, 0.01, '', 'face', (192, 128, 64)),  # 293
    ('l_border_of_pupil_midpoint_4', 301, 0.01, '', 'face', (192, 128, 64)),  # 294
    ('l_border_of_pupil_9', 300, 0.01, '', 'face', (192, 128, 64)),  # 295
    ('l_border_of_pupil_midpoint_3', 307, 0.01, '', 'face', (192, 128, 64)),  # 296
    ('l_border_of_pupil_6', 306, 0.01, '', 'face', (192, 128, 64)),  # 297
    ('l_border_of_pupil_midpoint_2', 305, 0.01, '', 'face', (192, 128, 64)),  # 298
    ('r_center_of_pupil', 290, 0.01, '', 'face', (32, 192, 192)),  # 299
    ('r_border_of_pupil_3', 295, 0.01, '', 'face', (32, 192, 192)),  # 300
    ('r_border_of_pupil_midpoint_1', 294, 0.01, '', 'face', (32, 192, 192)),  # 301
    ('r_border_of_pupil_12', 293, 0.01, '', 'face', (32, 192, 192)),  # 302
    ('r_border_of_pupil_midpoint_4', 292, 0.01, '', 'face', (32, 192, 192)),  # 303
    ('r_border_of_pupil_9', 291, 0.01, '', 'face', (32, 192, 192)),  # 304
    ('r_border_of_pupil_midpoint_3', 298, 0.01, '', 'face', (32, 192, 192)),  # 305
    ('r_border_of_pupil_6', 297, 0.01, '', 'face', (32, 192, 192)),  # 306
    ('r_border_of_pupil_midpoint_2', 296, 0.01, '', 'face', (32, 192, 192)),  # 307
)

# Ids of each evaluation group, in the order in which evaluation annotations list them: body is in COCO-17 order.
GROUPS = dict(
    body=(0, 1, 2, 3, 4, 5, 6, 7, 8, 62, 41, 9, 10, 11, 12, 13, 14),
    feet=(15, 16, 17, 18, 19, 20),
    face=tuple(range(70, 308)),
    left_hand=tuple(range(42, 62)),
    right_hand=tuple(range(21, 41)),
    extra=(69, 63, 64, 65, 66, 67, 68),
)

# (one end, other end, RGB colour)
LINKS = (
    (13, 11, (0, 255, 0)),  # left_ankle - left_knee
    (11, 9, (0, 255, 0)),  # left_knee - left_hip
    (14, 12, (255, 128, 0)),  # right_ankle - right_knee
    (12, 10, (255, 128, 0)),  # right_knee - right_hip
    (9, 10, (51, 153, 255)),  # left_hip - right_hip
    (5, 9, (51, 153, 255)),  # left_shoulder - left_hip
    (6, 10, (51, 153, 255)),  # right_shoulder - right_hip
    (5, 6, (51, 153, 255)),  # left_shoulder - right_shoulder
    (5, 7, (0, 255, 0)),  # left_shoulder - left_elbow
    (6, 8, (255, 128, 0)),  # right_shoulder - right_elbow
    (7, 62, (0, 255, 0)),  # left_elbow - left_wrist
    (8, 41, (255, 128, 0)),  # right_elbow - right_wrist
    (1, 2, (51, 153, 255)),  # left_eye - right_eye
    (0, 1, (51, 153, 255)),  # nose - left_eye
    (0, 2, (51, 153, 255)),  # nose - right_eye
    (1, 3, (51, 153, 255)),  # left_eye - left_ear
    (2, 4, (51, 153, 255)),  # right_eye - right_ear
    (3, 5, (51, 153, 255)),  # left_ear - left_shoulder
    (4, 6, (51, 153, 255)),  # right_ear - right_shoulder
    (13, 15, (0, 255, 0)),  # left_ankle - left_big_toe
    (13, 16, (0, 255, 0)),  # left_ankle - left_small_toe
    (13, 17, (0, 255, 0)),  # left_ankle - left_heel
    (14, 18, (255, 128, 0)),  # right_ankle - right_big_toe
    (14, 19, (255, 128, 0)),  # right_ankle - right_small_toe
    (14, 20, (255, 128, 0)),  # right_ankle - right_heel
    (62, 45, (255, 128, 0)),  # left_wrist - left_thumb_third_joint
    (45, 44, (255, 128, 0)),  # left_thumb_third_joint - left_thumb2
    (44, 43, (255, 128, 0)),  # left_thumb2 - left_thumb3
    (43, 42, (255, 128, 0)),  # left_thumb3 - left_thumb4
    (62, 49, (255, 153, 255)),  # left_wrist - left_forefinger_third_joint
    (49, 48, (255, 153, 255)),  # left_forefinger_third_joint - left_forefinger2
    (48, 47, (255, 153, 255)),  # left_forefinger2 - left_forefinger3
    (47, 46, (255, 153, 255)),  # left_forefinger3 - left_forefinger4
    (62, 53, (102, 178, 255)),  # left_wrist - left_middle_finger_third_joint
    (53, 52, (102, 178, 255)),  # left_middle_finger_third_joint - left_middle_finger2
    (52, 51, (102, 178, 255)),  # left_middle_finger2 - left_middle_finger3
    (51, 50, (102, 178, 255)),  # left_middle_finger3 - left_middle_finger4
    (62, 57, (255, 51, 51)),  # left_wrist - left_ring_finger_third_joint
    (57, 56, (255, 51, 51)),  # left_ring_finger_third_joint - left_ring_finger2
    (56, 55, (255, 51, 51)),  # left_ring_finger2 - left_ring_finger3
    (55, 54, (255, 51, 51)),  # left_ring_finger3 - left_ring_finger4
    (62, 61, (0, 255, 0)),  # left_wrist - left_pinky_finger_third_joint
    (61, 60, (0, 255, 0)),  # left_pinky_finger_third_joint - left_pinky_finger2
    (60, 59, (0, 255, 0)),  # left_pinky_finger2 - left_pinky_finger3
    (59, 58, (0, 255, 0)),  # left_pinky_finger3 - left_pinky_finger4
    (41, 24, (255, 128, 0)),  # right_wrist - right_thumb_third_joint
    (24, 23, (255, 128, 0)),  # right_thumb_third_joint - right_thumb2
    (23, 22, (255, 128, 0)),  # right_thumb2 - right_thumb3
    (22, 21, (255, 128, 0)),  # right_thumb3 - right_thumb4
    (41, 28, (255, 153, 255)),  # right_wrist - right_forefinger_third_joint
    (28, 27, (255, 153, 255)),  # right_forefinger_third_joint - right_forefinger2
    (27, 26, (255, 153, 255)),  # right_forefinger2 - right_forefinger3
    (26, 25, (255, 153, 255)),  # right_forefinger3 - right_forefinger4
    (41, 32, (102, 178, 255)),  # right_wrist - right_middle_finger_third_joint
    (32, 31, (102, 178, 255)),  # right_middle_finger_third_joint - right_middle_finger2
    (31, 30, (102, 178, 255)),  # right_middle_finger2 - right_middle_finger3
    (30, 29, (102, 178, 255)),  # right_middle_finger3 - right_middle_finger4
    (41, 36, (255, 51, 51)),  # right_wrist - right_ring_finger_third_joint
    (36, 35, (255, 51, 51)),  # right_ring_finger_third_joint - right_ring_finger2
    (35, 34, (255, 51, 51)),  # right_ring_finger2 - right_ring_finger3
    (34, 33, (255, 51, 51)),  # right_ring_finger3 - right_ring_finger4
    (41, 40, (0, 255, 0)),  # right_wrist - right_pinky_finger_third_joint
    (40, 39, (0, 255, 0)),  # right_pinky_finger_third_joint - right_pinky_finger2
    (39, 38, (0, 255, 0)),  # right_pinky_finger2 - right_pinky_finger3
    (38, 37, (0, 255, 0)),  # right_pinky_finger3 - right_pinky_finger4
)

# Points that the 308 share with COCO-WholeBody, as 308 id -> COCO-WholeBody id, in three tiers of certainty.
# The same anatomical point under the same name in both releases.
COMMON_BY_NAME = {
    0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7, 8: 8, 62: 9, 41: 10, 9: 11, 10: 12, 11: 13, 12: 14, 13: 15,
    14: 16, 15: 17, 16: 18, 17: 19, 18: 20, 19: 21, 20: 22, 44: 93, 43: 94, 42: 95, 48: 97, 47: 98, 46: 99, 52: 101,
    51: 102, 50: 103, 56: 105, 55: 106, 54: 107, 60: 109, 59: 110, 58: 111, 23: 114, 22: 115, 21: 116, 27: 118,
    26: 119, 25: 120, 31: 122, 30: 123, 29: 124, 35: 126, 34: 127, 33: 128, 39: 130, 38: 131, 37: 132,
}
# Finger bases: other names, yet the release gives each third joint exactly the sigma of the COCO-WholeBody joint.
COMMON_BY_SIGMA = {
    45: 92, 49: 96, 53: 100, 57: 104, 61: 108, 24: 113, 28: 117, 32: 121, 36: 125, 40: 129,
}
# Inferred from names and mirror symmetry only; no list was published. Look at them on pictures before trusting them.
COMMON_INFERRED = {
    80: 40, 83: 41, 81: 42, 84: 43, 78: 44, 87: 45, 92: 46, 90: 47, 93: 48, 89: 49, 71: 50, 74: 51, 75: 52, 178: 53,
    183: 54, 182: 55, 179: 56, 185: 57, 186: 58, 121: 59, 123: 60, 124: 61, 120: 62, 165: 63, 164: 64, 96: 65,
    100: 66, 99: 67, 97: 68, 147: 69, 148: 70, 188: 71, 192: 72, 197: 73, 190: 74, 198: 75, 193: 76, 189: 77, 195: 78,
    202: 79, 191: 80, 201: 81, 194: 82, 204: 83, 208: 84, 206: 85, 209: 86, 205: 87, 211: 88, 207: 89, 210: 90,
}
