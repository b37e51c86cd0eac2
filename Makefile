# make 或 make help 列出全部命令。可加的变量：
#   PYTHON=python3.12  建 .venv 用哪个 Python（3.11 或更新）
#   VENV=              不建 .venv，用当前激活的环境，其中的 torch 原样不动
#   TORCH_INDEX=URL    从这个索引装 torch，例如 CPU 版或某个 CUDA 版

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=

TORCH := $(shell grep '^torch==' requirements.txt)
PIP = $(PY) -m pip install --disable-pip-version-check
PYTEST = $(PY) -m pytest --durations=5
ON_CPU = CUDA_VISIBLE_DEVICES=

.NOTPARALLEL:
.PHONY: help html serve test test-slow test-gpu execute refresh slides clean docs-here all-here

help:  ## 列出这些命令
	@sed -n 's/^\([a-z-]*\):.*## /make \1:/p' Makefile | awk -F: '{printf "%-16s%s\n", $$1, $$2}'

# ------------------------------------------------------------ 环境

ifneq ($(strip $(VENV)),)

PY = $(VENV)/bin/python
DOCS = $(VENV)/docs.stamp
ALL = $(VENV)/all.stamp

$(VENV)/made.stamp:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "找不到 $(PYTHON)：装好 Python 3.11 或更新的版本，再用 make PYTHON=… 指明它" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "要 Python 3.11 或更新；$(PYTHON) 是 $$($(PYTHON) --version 2>&1)。换一个：make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) 缺 venv：Debian 和 Ubuntu 上先运行 apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(DOCS): requirements-docs.txt | $(VENV)/made.stamp
	$(PIP) -r requirements-docs.txt
	@touch $@

ifneq ($(TORCH_INDEX),)
# The stamp's name holds version and build: asking for another build reinstalls torch.
CHOSEN_TORCH = $(VENV)/$(subst ==,-,$(TORCH))-$(notdir $(TORCH_INDEX:/=)).stamp
$(CHOSEN_TORCH): | $(VENV)/made.stamp
	$(PIP) --index-url $(TORCH_INDEX) --force-reinstall --no-deps $(TORCH)
	$(PIP) --index-url $(TORCH_INDEX) $(TORCH)
	@rm -f $(VENV)/torch-*.stamp
	@touch $@
endif

$(ALL): requirements.txt requirements-docs.txt pyproject.toml $(CHOSEN_TORCH) | $(VENV)/made.stamp
	$(PIP) -r requirements.txt -e .
	@touch $@

else

ifneq ($(TORCH_INDEX),)
$(error VENV= 不动当前环境的 torch，不能再给 TORCH_INDEX)
endif

PY = $(PYTHON)
DOCS = docs-here
ALL = all-here

docs-here:
	$(PIP) -r requirements-docs.txt

# Everything but torch; the constraint keeps pip from replacing the one that is there.
all-here:
	@mkdir -p _build
	@$(PY) -c 'from importlib.metadata import version; print("torch==" + version("torch"))' \
	  > _build/torch.txt 2>/dev/null || { \
	  echo "$(PY) 的环境里没有 torch：先装 2.13 或更新的版本，或去掉 VENV=" >&2; exit 1; }
	@grep -v -e '^torch==' -e '^-r ' requirements.txt > _build/without-torch.txt
	$(PIP) -c _build/torch.txt -r requirements-docs.txt -r _build/without-torch.txt -e .

endif

# ------------------------------------------------------------ 书

# Sphinx warns of a page only when it reads it: after a run with warnings all are read anew.
html: $(DOCS)  ## 生成网页 _build/html（不需要 torch）
	@test -f _build/no-warnings.stamp || rm -rf _build/doctrees
	@rm -f _build/no-warnings.stamp
	$(PY) -m sphinx -b html -W --keep-going -n -d _build/doctrees . _build/html
	@mkdir -p _build && touch _build/no-warnings.stamp
	@echo "打开 $(CURDIR)/_build/html/index.html；要搜索，运行 make serve"

serve: html  ## 生成网页，并在本机上提供它（带搜索）
	$(PY) _ext/serve.py

# ------------------------------------------------------------ 测试

test: $(ALL)  ## 在 CPU 上测试代码，并逐格核对 notebook 的输出
	$(ON_CPU) $(PYTEST) -m "not slow and not gpu" --nbval --nbval-current-env tests 04_AICluster

test-slow: $(ALL)  ## 费时的测试（同样在 CPU 上）
	$(ON_CPU) $(PYTEST) -m "slow and not gpu" --timeout=1800 tests

test-gpu: $(ALL)  ## 需要 GPU 的测试；没有 GPU 就失败
	@$(PY) -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || { \
	  echo "make test-gpu 要 GPU，torch 一块也看不到。查原因：$(PY) -m dlsys_code doctor" >&2; exit 1; }
	$(PYTEST) -m gpu tests

# ------------------------------------------------------------ 写书的人

NOTEBOOKS ?=
STORE ?=

execute: $(ALL)  ## 在这台机器上运行各章，报告与存档的不同。NOTEBOOKS=… 选几章；STORE=1 在 CPU 上运行并存档
	$(if $(STORE),$(ON_CPU)) $(PY) -m dlsys_code.book.notebooks execute $(if $(STORE),--store) $(NOTEBOOKS)

refresh: $(ALL)  ## 在 CPU 上重跑代码改动过的章，显示不同并存档
	$(ON_CPU) $(PY) -m dlsys_code.book.notebooks refresh $(NOTEBOOKS)

DECKS ?=

slides: $(ALL)  ## 由 04_AICluster/slides 生成 .pptx 和 PDF（要 LibreOffice）。DECKS=… 选几份
	$(PIP) -q -r requirements-slides.txt
	PYTHONPATH=_ext $(PY) -m slides.make $(DECKS)

clean:  ## 删除生成物（.venv 保留）
	rm -rf _build api jupyter_execute .pytest_cache *.egg-info
