"""Frames of videos, sampled by their time stamps (extra `video`: PyAV).

A sample is the first frame of each interval of `every` seconds: 0 to `every`, `every` to twice that, and so
on. Frames come at any rate, and an interval without a frame has no sample.

Only what a sample needs is decoded. A group of frames that begins with a key frame can be decoded alone, so a
group is passed over if the next key frame is not later than the next sample. Some cameras mark frames as key
frames that need others (intra refresh). The second mark shows it: that frame is not an I picture. Then all
is decoded.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.errors import InputFileError
from maskps.io.files import explained_reading, open_file
from maskps.io.images import MAX_PIXELS_VARIABLE, max_pixels

_FORMATS = "mov,matroska,webm,avi,flv,mpegts,mpeg,mpegvideo,ogg,asf"
"""Containers that are read. Playlists are not: they name other files, and addresses."""

_SLACK = 1  # seconds that may be missing at the end, or go back, in an undamaged file
_MARGINS = (0, 2_000_000, 10_000_000)  # microseconds before a frame at which its key frame is looked for


_INSTANT = 1e-6  # seconds
_NO_INDEX = "not a video, or one that was cut off before its index"


@dataclass(frozen=True)
class Frame:
    """A frame of a video.

    Attributes:
        time: seconds since the first frame, with six decimals.
        pixels: (H, W, 3) uint8 RGB, upright, with square pixels.
    """

    time: float
    pixels: NDArray[np.uint8]


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Yields a video file, open for reading.

    Raises:
        InputFileError: missing, of 0 bytes, not a video, without pictures, with too many pixels; PyAV is not
            installed.
    """
    av = _pyav(path)
    with explained_reading(path, what="a video"), open_file(path) as file:
        if not file.read(1):
            raise InputFileError(path, expected="a video", found="a file of 0 bytes", hint="copy it again")
        file.seek(0)
        try:
            container = av.open(file, options={"format_whitelist": _FORMATS}, metadata_errors="replace")
        except av.FFmpegError as error:
            raise InputFileError(
                path,
                expected="a video",
                found=f"{_NO_INDEX} ({error.strerror})",
                hint="copy it again",
            ) from error
        with container:
            yield Video(path, av, container)


class Video:
    """A video file that `open_video` has opened. It is read once: by `samples` or by `sought`.

    Attributes:
        recorded_at: Unix seconds of the first frame as the file says it; None if it does not.
        is_damaged: whether something could not be read so far, or the file ends before its time.

    Raises:
        InputFileError: as `open_video`.
    """

    def __init__(self, path: Path, av: Any, container: Any) -> None:
        self._path, self._container, self._error = path, container, av.FFmpegError
        self._i_picture = av.video.frame.PictureType.I
        is_cover = av.stream.Disposition.attached_pic
        streams = [one for one in container.streams.video if not one.disposition & is_cover]
        if not streams:
            raise self._unusable("no pictures, only sound" if container.streams.audio else _NO_INDEX)
        self._stream = streams[0]
        self._check_size(self._stream.codec_context.width, self._stream.codec_context.height)
        self.is_damaged = False
        self.recorded_at = _unix_seconds(container.metadata) or _unix_seconds(self._stream.metadata)
        self._origin: int | None = None  # time stamp of the first frame
        self._target = 0  # microseconds; earlier frames are not wanted
        self._keys: list[int] = []  # time stamps of the first two packets that are marked as key frames
        self._has_groups = False  # whether each group is known to be decodable alone

    def samples(self, every: float, after: float | None = None) -> Iterator[Frame]:
        """Yields the samples in order; `is_damaged` is final when they have ended.

        Args:
            every: seconds from one sample to the next.
            after: time of a sample; only later ones are yielded.

        Raises:
            InputFileError: no frame can be decoded, or a frame has too many pixels.
        """
        step = _microseconds(every)
        slot = -1 if after is None else _microseconds(after) // step
        self._target = (slot + 1) * step
        for time, frame in self._decoded(self._needed()):
            if time >= self._target:
                self._target = (time // step + 1) * step
                yield Frame(time / 1_000_000, self._pixels(frame))
        if self._origin is None:
            raise self._unusable("no frame that can be decoded")

    def sought(self, time: float) -> Frame | None:
        """Returns the frame with this time by a jump to a key frame before it; None if that fails."""
        self._target = _microseconds(time)
        next(self._decoded(self._packets()), None)  # finds the origin
        for margin in _MARGINS:
            start = max(0, self._target - margin)
            with contextlib.suppress(self._error):
                self._seek(start)
                has_begun = False
                for found, frame in self._decoded(self._packets()):
                    has_begun |= frame.key_frame  # those before it may lack what they refer to
                    if found > self._target:  # the jump went too far
                        break
                    if found == self._target and has_begun:
                        return Frame(time, self._pixels(frame))
        return None

    def _seek(self, time: int) -> None:
        stamp = (self._origin or 0) + math.floor(Fraction(time, 1_000_000) / self._stream.time_base)
        self._container.seek(stamp, stream=self._stream)

    def _decoded(self, packets: Iterator[Any]) -> Iterator[tuple[int, Any]]:
        """Yields time in microseconds and frame, of whole frames alone; the first sets the origin.

        A frame without a time stamp, as in MPEG program streams, is one frame's duration after the last one.
        """
        stamp: int | None = None
        for packet in packets:
            try:
                frames = packet.decode()
            except self._error:
                self.is_damaged = True
                continue
            for frame in frames:
                if frame.pts is not None:
                    stamp = frame.pts
                elif stamp is not None:
                    stamp += frame.duration
                else:
                    continue
                if self._origin is None and not frame.is_corrupt:
                    self._origin = stamp
                if stamp in self._keys[1:]:
                    self._has_groups = frame.pict_type == self._i_picture
                time = self._time(stamp)
                if not frame.is_corrupt:
                    yield time, frame
                elif time >= self._target:
                    self.is_damaged = True

    def _needed(self) -> Iterator[Any]:
        """Yields the packets from which the frames of the targets are decoded, in order."""
        waiting: list[Any] = []
        for packet in self._packets():
            if packet.is_keyframe and packet.pts is not None and len(self._keys) < 2:
                self._keys.append(packet.pts)
            may_wait = self._has_groups and packet.pts is not None and packet.dts is not None
            if may_wait and packet.is_keyframe and waiting and self._time(packet.pts) <= self._target:
                waiting.clear()
                self._stream.codec_context.flush_buffers()
            waiting.append(packet)
            # Packets come in the order of their dts, and no frame's pts is below it: no later key frame
            # is at the target or before.
            if not may_wait or self._time(packet.dts) >= self._target:
                yield from waiting
                waiting.clear()

    def _packets(self) -> Iterator[Any]:
        """Yields all packets of the stream, and notes damage."""
        ends = {False: Fraction(0), True: Fraction(0)}  # of sound, of pictures
        last = -math.inf  # seconds: decoding time of the last picture
        packets = self._container.demux(self._stream, *self._container.streams.audio)
        while True:
            try:
                packet = next(packets, None)
            except (self._error, OSError):
                self.is_damaged = True
                return
            if packet is None:
                break
            is_ours = packet.stream is self._stream
            if is_ours:
                yield packet
            if packet.dts is not None:
                stamp = packet.dts if packet.pts is None else packet.pts
                end = (stamp + (packet.duration or 0)) * packet.time_base
                ends[is_ours] = max(ends[is_ours], end)
            if is_ours and packet.dts is not None:
                now = packet.dts * packet.time_base
                self.is_damaged |= now < last - _SLACK  # several recordings in one file
                last = now
        self.is_damaged |= self._is_short(ends[True], max(ends.values()))

    def _is_short(self, pictures: Fraction, everything: Fraction) -> bool:
        """Whether the file ends before the time that its head states. Some formats state none.

        The stated length of a picture stream, as in MP4, begins with its first picture. That of a whole file,
        as in Matroska, counts from 0.

        Args:
            pictures, everything: when the last picture ends, and the last picture or sound; seconds.
        """
        stream = self._stream
        if stream.duration is None:
            return everything < Fraction(self._container.duration or 0, 1_000_000) - _SLACK
        return pictures < ((stream.start_time or 0) + stream.duration) * stream.time_base - _SLACK

    def _time(self, stamp: int) -> int:
        """Returns a time stamp as microseconds since the first frame."""
        return round((stamp - (self._origin or 0)) * self._stream.time_base * 1_000_000)

    def _pixels(self, frame: Any) -> NDArray[np.uint8]:
        shape = self._stream.sample_aspect_ratio or 1
        width = max(1, round(frame.width * shape))
        self._check_size(width, frame.height)
        pixels = frame.to_ndarray(format="rgb24", width=width, height=frame.height)
        return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))

    def _check_size(self, width: int, height: int) -> None:
        if width * height > (limit := max_pixels()):
            raise self._unusable(
                f"frames of {width} x {height} pixels",
                f"scale it down, or set {MAX_PIXELS_VARIABLE} to a larger number than {limit:,}",
            )

    def _unusable(self, found: str, hint: str = "check it in a video player") -> InputFileError:
        return InputFileError(self._path, expected="a video with pictures", found=found, hint=hint)


def read_frame(path: Path, time: float) -> NDArray[np.uint8]:
    """Returns the pixels of the frame at `time`, as `Video.samples` gave them.

    Raises:
        InputFileError: as `open_video`; no such frame.
    """
    with open_video(path) as video:
        frame = video.sought(time)
    if frame is None:
        with open_video(path) as video:
            frame = next(video.samples(_INSTANT, after=time - _INSTANT), None)
    if frame is None or frame.time != time:
        raise InputFileError(
            path,
            expected="a video with the frame of a hit",
            found=f"no frame at {time:.3f} s",
            hint="forget the video with maskps gallery forget --source, and add it again",
        )
    return frame.pixels


def _pyav(path: Path) -> Any:
    try:
        import av
    except ImportError as error:
        raise InputFileError(
            path,
            expected="the package av, to read a video",
            found="a video; reading it needs: pip install 'maskps[video]'",
            hint="pip install 'maskps[video]'",
        ) from error
    return av


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _unix_seconds(metadata: dict[str, str]) -> float | None:
    """Returns the creation time that a container states; None if there is none."""
    try:
        seconds = datetime.fromisoformat(metadata["creation_time"]).timestamp()
    except (KeyError, ValueError, OverflowError, OSError):
        return None
    return seconds if seconds > 0 else None  # 1904 and 1970 stand for a clock that was not set
