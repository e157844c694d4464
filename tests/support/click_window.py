"""A window on matplotlib's Agg backend, and mouse and keys for it."""

import threading

import numpy as np
from matplotlib.backend_bases import KeyEvent, MouseEvent
from support.made import GivenPrediction

from dextr.geometry import CropWindow
from dextr.points import check_points

HW = (60, 80)
CLICKS = [(10, 30), (70, 30), (40, 5), (40, 55)]
SECOND = [(5, 10), (25, 10), (15, 2), (15, 20)]


class StubPredictor:
    """The clicks' box, with probabilities that rise from left to right; waits for its gate."""

    def __init__(self):
        self.threshold = 0.8
        self.calls = []
        self.gate = threading.Event()
        self.gate.set()

    def predict(self, image, points):
        assert self.gate.wait(30)
        self.calls.append(list(points))
        clicks = check_points(points, image.shape[:2])
        window = CropWindow.around(clicks, image.shape[:2])
        prob = np.zeros(image.shape[:2], np.float32)
        width = window.object_box.hw[1]
        prob[window.object_box.slices()] = np.linspace(0.1, 1, width)
        return GivenPrediction(prob, self.threshold, clicks, window)


def mouse(window, name, x, y, button=1, dblclick=False):
    """Send a mouse event at the image's x, y."""
    canvas = window.figure.canvas
    column, row = window.view.axes.transData.transform((x, y))
    canvas.callbacks.process(name, MouseEvent(name, canvas, column, row, button, dblclick=dblclick))


def click(window, x, y, button=1, dblclick=False):
    mouse(window, "button_press_event", x, y, button, dblclick)
    mouse(window, "button_release_event", x, y, button)


def drag(window, start, *way):
    mouse(window, "button_press_event", *start)
    for point in way:
        mouse(window, "motion_notify_event", *point)
    mouse(window, "button_release_event", *way[-1])


def press(window, *keys):
    canvas = window.figure.canvas
    column, row = window.view.axes.transData.transform((40, 30))
    for key in keys:
        event = KeyEvent("key_press_event", canvas, key, column, row)
        canvas.callbacks.process("key_press_event", event)


def cut_out(window, clicks=CLICKS):
    for x, y in clicks:
        click(window, x, y)
    window.poll(wait=True)


def drawn(window):
    """The picture in the axes, and the dots on it."""
    window.figure.canvas.draw()
    (artist,) = window.view.axes.get_images()
    (dots,) = window.view.axes.get_lines()
    return np.asarray(artist.get_array()), np.stack(dots.get_data(), axis=1)
