"""Saves a picture of LabelMe's window with a file of a pack open. Runs in LabelMe's own Python, not in ours.

QT_QPA_PLATFORM=offscreen PYTHON_OF_LABELME tests/benchmarks/labelme_window.py PACK FILE.json PICTURE.png
"""

import sys
import time
from pathlib import Path

from labelme.__main__ import main

try:
    from PyQt5 import QtCore, QtWidgets  # LabelMe 6
except ImportError:
    from PySide6 import QtCore, QtWidgets  # LabelMe 7

pack, file, picture = Path(sys.argv[1]), sys.argv[2], sys.argv[3]


def grab() -> None:
    (window,) = (
        one for one in QtWidgets.QApplication.topLevelWidgets() if isinstance(one, QtWidgets.QMainWindow)
    )
    window.resize(1280, 800)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        QtWidgets.QApplication.processEvents()
        time.sleep(0.02)
    window.grab().save(picture)
    window.close()
    QtWidgets.QApplication.exit(0)


def started(*_: object) -> int:
    QtCore.QTimer.singleShot(0, grab)
    return start()


application = QtWidgets.QApplication
start = application.exec if hasattr(application, "exec") else application.exec_
application.exec = application.exec_ = staticmethod(started)  # LabelMe's way into Qt's event loop
sys.argv[1:] = [str(pack / file), "--config", str(pack / "labelmerc.yaml"), "--no-auto-save"]
sys.exit(main())
