"""A domain whose labels must not be seen."""

from attrs import evolve

from daframework.dataset_interface import ImageDataset, Sample


class Unlabelled(ImageDataset):
    """The images of a dataset, from which no way leads to a label: none is read, and no question about one is answered.

    It tells of no file, no fault and no fingerprint, as a dataset does by default.
    """

    def __init__(self, dataset: ImageDataset) -> None:
        """Of ``dataset`` only its `unlabelled` samples are asked for."""
        self.classes, self.palette = dataset.classes, dataset.palette
        self.__images = dataset  # by no other name, so that nobody comes upon the labels

    def __len__(self) -> int:
        """As many as the dataset."""
        return len(self.__images)

    def __getitem__(self, index: int) -> Sample:
        """The sample with ``label`` None."""
        return evolve(self.__images.unlabelled(index), label=None, others={})
