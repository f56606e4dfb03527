# Three commands to know: `make play`, `make demo`, `make test`. Each makes its own environment first.
PYTHON ?= python3
ARGS ?=
RUN = .venv/bin/python -m
export HF_HUB_OFFLINE = 1

.PHONY: demo play screenshots storm bench bench-page bench-memory bench-cycle bench-learning bench-train bench-canary bench-faults bench-releases gpu-check sweep test test-fast test-slow check format format-page setup clean

demo: setup  ## the whole loop, from the first question to the roll back (ARGS="--facts 12": a short one)
	@.venv/bin/mynah demo $(ARGS)

play: setup  ## a Slack in your browser, with Mynah in it
	@.venv/bin/mynah play $(ARGS)

screenshots: setup  ## the README's pictures, taken by the tests that show what they show
	@MYNAH_BROWSER=required $(RUN) pytest tests/browser/test_pictures.py --screenshots deploy/screenshots $(ARGS)

storm: setup  ## a thousand events under every kind of bad luck; fails if one is lost or doubled
	@$(RUN) deploy.storm $(ARGS)

bench: setup  ## how much one bot process carries, and how quickly, when the model answers at once
	@$(RUN) deploy.bench $(ARGS)

bench-page: setup  ## how the page bears a channel of 5,000 messages (needs Chromium)
	@$(RUN) deploy.bench.page $(ARGS)

bench-memory: setup  ## what memory finds, and how often it would quote the answer to another question
	@$(RUN) deploy.bench.memory $(ARGS)

bench-faults: setup  ## each fault of vLLM that the bot must bear, 20 times: what is lost, doubled, late
	@$(RUN) deploy.bench.faults $(ARGS)

bench-learning: setup  ## memory, Mynah's training, LLaMA-Factory and TRL on the same budget; hours, resumable
	@$(RUN) deploy.bench.learning $(ARGS)

bench-cycle: setup  ## how selecting, freezing and memory grow with the examples, up to 50,000
	@OMP_NUM_THREADS=1 $(RUN) deploy.bench.cycle $(ARGS)

bench-train: setup  ## a training step beside the same one in a plain PyTorch loop
	@OMP_NUM_THREADS=1 $(RUN) deploy.bench.train $(ARGS)

bench-canary: setup  ## how often a release on trial is wronged, and how soon a bad one is found (minutes)
	@OMP_NUM_THREADS=1 $(RUN) deploy.bench.canary $(ARGS)

bench-releases: setup  ## loads, changes of what is live under load, roll backs, servers killed; real vLLM
	@$(RUN) deploy.bench.releases $(ARGS)

gpu-check:  ## serving and training on this machine's GPU, in an environment of yours (PYTHON=…)
	@HF_HUB_OFFLINE=0 $(PYTHON) -m deploy.gpu_check $(ARGS)

sweep: setup  ## hyper-parameters on the demo's facts, with torch alone (ARGS="--set lr=5e-4,1e-3 --seeds 0,1")
	@$(RUN) deploy.sweep $(ARGS)

test: test-fast test-slow  ## every test: real vLLM, real training, real PostgreSQL

test-fast: setup  ## the tests that need neither vLLM nor training
	@$(RUN) pytest -n 2 --dist loadfile -m "not slow" $(ARGS)

test-slow: setup  ## the tests that need one or the other
	@$(RUN) pytest -m slow $(ARGS)

check: setup  ## formatting, lint, strict types, import contracts
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) mypy
	@.venv/bin/lint-imports

format: setup
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .

format-page:  ## the modules of the local Slack's page (needs npm)
	@npx --yes prettier@3.10.1 --write "deploy/sandbox/page/*.js" "tests/**/*.js"

setup:
	@$(PYTHON) deploy/setup_env.py

clean:
	rm -rf .venv .mynah .mypy_cache .ruff_cache .pytest_cache
	find reports -mindepth 1 -not -path reports/learning.json -delete 2>/dev/null || true
