"""CamVid's eleven classes, in the order and the colours of SegNet's tables."""

from daf_driving.space_files import label_space

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(11)

CLASSES, PALETTE = label_space("camvid11").classes, label_space("camvid11").palette
