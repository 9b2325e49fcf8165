# Sourced, not run:  . tools/venv.sh EXTRAS
# Makes .venv beside setup.py if it is not there, installs the project with
# the named extras when setup.py changed, and activates it.
_python="${PYTHON:-python3}"
if ! "$_python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "error: $_python is older than Python 3.11; set PYTHON=/path/to/one" >&2
  exit 1
fi
[ -x .venv/bin/python ] || "$_python" -m venv .venv
. .venv/bin/activate
_stamp=".venv/installed-$1-$(cksum <setup.py | cut -d' ' -f1)"
if [ ! -e "$_stamp" ]; then
  echo "installing hispatial_jax[$1] into .venv ..."
  python -m pip install --quiet --disable-pip-version-check -e ".[$1]"
  touch "$_stamp"
fi
