"""Runs inside LabelMe's own Python, not ours: starts LabelMe 6 or 7 and acts as its user, with mouse events.

LABELME_PLAN in the environment names a JSON file: {"report": FILE, "image": FILE, "polygon": [[x, y], ...],
"label": TEXT, "tick": FLAG}. The image is picked in the list of files. The polygon, in its pixels, is drawn
and gets the label; then the flag of the image is ticked, and the window closed as soon as LabelMe has saved.
Without a polygon or flag that is left out. What was seen is written to "report".
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:
    from PyQt5 import QtCore, QtGui, QtTest, QtWidgets  # LabelMe 6
except ImportError:
    from PySide6 import QtCore, QtGui, QtTest, QtWidgets  # LabelMe 7

Qt = QtCore.Qt
QAction = QtGui.QAction if hasattr(QtGui, "QAction") else QtWidgets.QAction  # of Qt 6, of Qt 5
SECONDS = 20.0
plan = json.loads(Path(os.environ["LABELME_PLAN"]).read_text(encoding="utf-8"))
report: dict[str, Any] = {"messages": [], "error": ""}


def act() -> None:
    """Does what the plan says, as soon as an image is shown; every dialog in between is noted and closed."""
    watch = QtCore.QTimer()
    watch.timeout.connect(note_messages)
    watch.start(50)
    window = next(
        one for one in QtWidgets.QApplication.topLevelWidgets() if isinstance(one, QtWidgets.QMainWindow)
    )
    try:
        canvas = child(window, "Canvas")
        pick_image(window)
        wait_for(lambda: canvas.isEnabled() and canvas.isVisible() and image_name() in window.windowTitle())
        report["title"] = window.windowTitle()
        report["shapes"] = [(shape.label, shape.shape_type) for shape in canvas.shapes]
        report["scale"] = canvas.scale
        if plan.get("polygon"):
            draw(window, canvas)
        if plan.get("tick"):
            tick(window, plan["tick"])
    except Exception as error:
        report["error"] = f"{type(error).__name__}: {error}"
    watch.stop()
    Path(plan["report"]).write_text(json.dumps(report), encoding="utf-8")
    window.close()
    QtWidgets.QApplication.exit(0)


def pick_image(window: QtWidgets.QMainWindow) -> None:
    """Clicks on the image in the list of files."""
    files = window.findChild(QtWidgets.QDockWidget, "Files").findChild(QtWidgets.QListWidget)
    wait_for(lambda: files.count())
    names = [Path(files.item(row).text()).name for row in range(files.count())]
    report["images"] = names
    item = files.item(names.index(image_name()))
    files.scrollToItem(item)
    click(files.viewport(), files.visualItemRect(item).center())


def image_name() -> str:
    return Path(plan["image"]).name


def draw(window: QtWidgets.QMainWindow, canvas: QtWidgets.QWidget) -> None:
    """Draws a polygon with the mouse, closes it at its first corner, and picks the label in the dialog."""
    (mode,) = (one for one in window.findChildren(QAction) if one.shortcut().toString() == "Ctrl+N")
    mode.trigger()
    shapes = len(canvas.shapes)
    corners = [place_on(canvas, x, y) for x, y in plan["polygon"]]
    for number, place in enumerate([*corners, corners[0]]):
        mouse(canvas, QtCore.QEvent.MouseMove, place)
        if number == len(corners):
            QtCore.QTimer.singleShot(200, pick_label)  # the dialog of the last click keeps us until then
        mouse(canvas, QtCore.QEvent.MouseButtonPress, place)
        mouse(canvas, QtCore.QEvent.MouseButtonRelease, place)
    wait_for(lambda: len(canvas.shapes) == shapes + 1 and canvas.shapes[-1].label == plan["label"])


def pick_label() -> None:
    """Clicks on the label in the list of the dialog, then on OK."""
    dialog = QtWidgets.QApplication.activeModalWidget()
    labels = dialog.findChild(QtWidgets.QListWidget)
    report["labels_offered"] = [labels.item(row).text() for row in range(labels.count())]
    (item,) = labels.findItems(plan["label"], Qt.MatchExactly)
    click(labels.viewport(), labels.visualItemRect(item).center())
    report["flags_offered"] = [box.text() for box in dialog.findChildren(QtWidgets.QCheckBox)]
    buttons = dialog.findChild(QtWidgets.QDialogButtonBox)
    accept = buttons.button(QtWidgets.QDialogButtonBox.Ok)
    click(accept, accept.rect().center())


def tick(window: QtWidgets.QMainWindow, flag: str) -> None:
    """Clicks on the box of an image flag and waits for LabelMe to save by itself."""
    before = saved_at()
    flags = window.findChild(QtWidgets.QDockWidget, "Flags").findChild(QtWidgets.QListWidget)
    (item,) = flags.findItems(flag, Qt.MatchExactly)
    box = flags.visualItemRect(item)
    click(flags.viewport(), QtCore.QPoint(box.left() + 10, box.center().y()))
    if item.checkState() != Qt.Checked:
        raise AssertionError(f"the flag {flag} is not ticked")
    wait_for(lambda: saved_at() != before)


def saved_at() -> object:
    path = Path(plan["image"]).with_suffix(".json")
    return path.stat().st_mtime_ns if path.exists() else None


def place_on(canvas: QtWidgets.QWidget, x: float, y: float) -> QtCore.QPointF:
    """Returns where on the canvas a point of the image is: the image is shown in its middle, enlarged."""
    shown = canvas.pixmap.width() * canvas.scale, canvas.pixmap.height() * canvas.scale
    free = max(canvas.width() - shown[0], 0.0), max(canvas.height() - shown[1], 0.0)
    return QtCore.QPointF(round(free[0] / 2 + x * canvas.scale), round(free[1] / 2 + y * canvas.scale))


def mouse(widget: QtWidgets.QWidget, kind: QtCore.QEvent.Type, place: QtCore.QPointF) -> None:
    pressed = kind != QtCore.QEvent.MouseMove
    button = Qt.LeftButton if pressed else Qt.NoButton
    held = Qt.LeftButton if kind == QtCore.QEvent.MouseButtonPress else Qt.NoButton
    there = QtCore.QPointF(widget.mapToGlobal(place.toPoint()))
    event = QtGui.QMouseEvent(kind, place, there, button, held, Qt.NoModifier)
    QtWidgets.QApplication.sendEvent(widget, event)


def click(widget: QtWidgets.QWidget, place: QtCore.QPoint) -> None:
    QtTest.QTest.mouseClick(widget, Qt.LeftButton, Qt.NoModifier, place)


def child(window: QtWidgets.QMainWindow, kind: str) -> QtWidgets.QWidget:
    (found,) = (one for one in window.findChildren(QtWidgets.QWidget) if type(one).__name__ == kind)
    return found


def wait_for(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"nothing happened in {SECONDS:g} s")
        QtTest.QTest.qWait(20)


def note_messages() -> None:
    """Notes what LabelMe complains about, and closes the message, which would wait for its user."""
    message = QtWidgets.QApplication.activeModalWidget()
    if isinstance(message, QtWidgets.QMessageBox):
        report["messages"].append(message.text() + " " + message.informativeText())
        message.reject()


def started_with_user(start: Callable[[], int]) -> Callable[..., int]:
    """Returns LabelMe's way into Qt's event loop, with our user waiting there."""

    def started(*_: object) -> int:
        QtCore.QTimer.singleShot(0, act)
        return start()

    return started


if __name__ == "__main__":
    application = QtWidgets.QApplication
    for name in {"exec", "exec_"} & set(dir(application)):
        setattr(application, name, staticmethod(started_with_user(getattr(application, name))))
    from labelme.__main__ import main

    sys.exit(main())
