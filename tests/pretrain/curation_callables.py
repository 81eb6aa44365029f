"""Stand-ins for a person detector and for filters, found by their dotted path."""
import time
from pathlib import Path

import numpy as np


class BrightPeople:
    """Takes bright pictures for people: as sure as they are red, as large as they are green."""

    def __init__(self, delay: float = 0., calls: str = ''):
        self.delay, self.calls = delay, calls

    def __call__(self, images):
        time.sleep(self.delay)
        if self.calls:
            with open(Path(self.calls), 'a') as file:
                file.write(f'{len(images)}\n')
        found = []
        for image in images:
            red, green = image[..., 2].mean() / 255, image[..., 1].mean()
            found.append((np.array([[0, 0, 2 * green, 2 * green + 50], [0, 0, 5, 5]]), np.array([red, 0.5])))
        return found


def dark(image):
    """A flag for dark pictures."""
    return 'dark' if image.mean() < 50 else None
