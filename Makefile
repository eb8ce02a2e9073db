# Pellicle: transparent encryption between the pods of a Kubernetes cluster. `make help` lists the targets.
SHELL := /bin/bash
ROOT := $(CURDIR)
export PATH := $(ROOT)/bin:$(ROOT)/node_modules/.bin:$(PATH)

LAB ?= kind
ENCRYPTION ?= wireguard

.PHONY: help setup build demo lab lab-down test check bench bench-quick clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what a lab needs (npm packages, Debian packages, kubectl where missing) and build
	@tools/setup.sh lab
	@npm run --silent build

build: setup

demo: setup ## a three-node cluster on this machine, its pods encrypted, proven on the wire (ENCRYPTION=wireguard or ipsec)
	@tools/demo.sh $(LAB) $(ENCRYPTION)

lab: setup ## the bare cluster, as the lab's reader finds it before `cilium install`
	@pellicle lab up --name $(LAB)

lab-down: ## remove the lab: no process, namespace, mount or kubeconfig entry stays
	@pellicle lab down --name $(LAB)

test: ## set up what the tests need, check and test everything
	@tools/setup.sh test
	@npm run --silent build
	@npm run --silent check
	@npm run --silent test

check: ## types, lint, import rules, unused code
	@tools/setup.sh build
	@npm run --silent check

bench: ## the engine beside wireguard-go and strongSwan in one run (PEERS= names more programs)
	@tools/setup.sh bench
	@npm run --silent build
	@node test/bench/bench.ts

bench-quick: ## the same in under two minutes, checked against the least ratios
	@tools/setup.sh bench
	@npm run --silent build
	@node test/bench/bench.ts --quick

clean: ## remove what was built and installed in this folder
	rm -rf build dist node_modules bin/kubectl
