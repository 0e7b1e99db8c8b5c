"""Runs on Ray's own local cluster, of which a worker is killed. Run by tests/python.rs where Ray is there, or: python -m unittest discover."""

import json
import os
import signal
import tempfile
import threading
import time
import unittest
from pathlib import Path

import mote

try:
    import ray
except ImportError:
    ray = None

CHECKPOINT = Path(os.environ.get("MOTE_TEST_CHECKPOINT", Path(__file__).parents[2] / "assets" / "fashion16-tiny"))
PATIENCE = 120


def setUpModule():
    if ray is None:
        raise unittest.SkipTest("the Python package with Ray: Ray is not installed")
    if not Path("/proc/self/stat").exists():
        raise unittest.SkipTest("the Python package with Ray: workers are found by /proc")
    global MODEL
    MODEL = mote.convert(CHECKPOINT, scheme="f16")
    # Workers find the package where this process found it.
    paths = os.pathsep.join(filter(None, [str(Path(mote.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    environment = {"env_vars": {"PYTHONPATH": paths}}
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, configure_logging=False, runtime_env=environment)


def tearDownModule():
    if ray is not None and ray.is_initialized():
        ray.shutdown()


def parent(process):
    """The process that started one; None where it has ended."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return None


def is_ours(process):
    """Whether this process is among those that started one."""
    while process not in (None, 0, 1):
        if process == os.getpid():
            return True
        process = parent(process)
    return False


def at_work():
    """Workers of this cluster that make a part."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(b"ray::_part"):
                found.append(int(entry.name))
        except OSError:
            pass
    return [process for process in found if is_ours(process)]


class Clusters(unittest.TestCase):
    def test_a_lost_worker_s_part_is_made_again(self):
        import mote.ray

        run = dict(count=160, seed=3, steps=20)
        killed = []

        def kill():
            until = time.monotonic() + PATIENCE
            while not killed and time.monotonic() < until:
                for process in at_work()[:1]:
                    os.kill(process, signal.SIGKILL)
                    killed.append(process)
                time.sleep(0.01)

        with tempfile.TemporaryDirectory() as folder:
            whole, merged = Path(folder) / "whole.npz", Path(folder) / "all.npz"
            MODEL.sample_part(whole, **run)
            killer = threading.Thread(target=kill)
            killer.start()
            made = mote.ray.sample(MODEL, merged, shards=8, **run)
            killer.join()
            self.assertEqual(len(killed), 1)
            self.assertEqual((made["count"], made["parts"]), (160, 8))
            self.assertEqual(merged.read_bytes(), whole.read_bytes())

    def test_distances_are_those_of_one_machine(self):
        import mote.ray

        run = dict(count=20, steps=1)
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / "whole.moments"
            MODEL.statistics(CHECKPOINT, whole, **run)
            found = mote.ray.distribution(MODEL, CHECKPOINT, shards=3, **run)
            self.assertTrue(found["held"])
            self.assertEqual(json.dumps(found["distribution"]), json.dumps(mote.merge([whole])["distribution"]))

    def test_the_examples_of_its_docstrings(self):
        import doctest

        import mote.ray

        place = os.getcwd()
        with tempfile.TemporaryDirectory() as folder:
            try:
                os.chdir(folder)
                MODEL.write("my.mote")
                Path("my-checkpoint").symlink_to(CHECKPOINT.resolve())
                found = doctest.testmod(mote.ray, extraglobs={"mote": mote, "model": MODEL})
            finally:
                os.chdir(place)
        self.assertEqual((found.failed, found.attempted > 2), (0, True))

    def test_what_a_task_refuses_is_told(self):
        import mote.ray

        with self.assertRaises(mote.MoteError) as caught:
            mote.ray.sample(MODEL, "never.npz", count=4, shards=2, sampler="midpoint")
        self.assertIn("midpoint", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
