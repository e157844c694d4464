#!/bin/bash
# Everything that needs a CUDA GPU, in about a quarter of an hour, with nothing to install or download:
#   bash benchmarks/gpu.sh FOLDER                    # all parts
#   bash benchmarks/gpu.sh FOLDER checks training    # only these
# FOLDER gets summary.md, log.txt, training.json, kernels.txt, evaluation.json, curves.json and
# curves.png. VOC_ROOT=DIR takes photos from PASCAL VOC instead of made-up ones. The exit code is
# the number of things that failed.
set -u
out=${1:?usage: bash benchmarks/gpu.sh FOLDER [checks training evaluation curves runs]}
shift
parts=${*:-checks training evaluation curves runs}
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1
cd "$(dirname "$0")/.." || exit 1
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-8}
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
: > "$out/summary.md"
: > "$out/log.txt"
# measured NAME SECONDS COMMAND..: its output goes to the summary, all else to the log
measured() {
    local name=$1 limit=$2 start=$SECONDS code=0
    shift 2
    echo "== $name: $*" >> "$out/log.txt"
    timeout "$limit" "$@" > "$work/output" 2>> "$out/log.txt" || code=$?
    { echo "## $name"; echo; cat "$work/output"; echo; } >> "$out/summary.md"
    [ $code -eq 0 ] || { failed=$((failed + 1)); echo "FAILED with exit code $code: see log.txt" >> "$out/summary.md"; }
    echo "$name: exit code $code, $((SECONDS - start)) s" | tee -a "$out/log.txt"
}

# trained NAME SECONDS OPTIONS..: a short training; its epochs' losses go to the summary
trained() {
    local name=$1 limit=$2
    shift 2
    measured "train_pascal.py $name" "$limit" "$python" "$@" --output-dir "$work/$name" \
        --init none --workers 8 --log-every 5 --eval-every 0 --snapshot-every 1
    goes_down "$name"
}

# goes_down NAME: whether the losses in that run's log do
goes_down() {
    "$python" - "$work/$1/log.jsonl" >> "$out/summary.md" 2>> "$out/log.txt" <<'END' || failed=$((failed + 1))
import json, statistics, sys
rows = [row for row in map(json.loads, open(sys.argv[1])) if row["kind"] == "train"]
third = -(-len(rows) // 3)
first, last = (statistics.mean(row["loss"] for row in part) for part in (rows[:third], rows[-third:]))
rate = max(row["objects_per_second"] for row in rows)
verdict = "goes down" if last < first else "FAILED: does not go down"
print(f"\nloss, first and last third: {first:.4f}, {last:.4f}: {verdict}; at best {rate:.1f} objects/s\n")
sys.exit(last >= first)
END
}

# resumed NAME SECONDS OPTIONS..: the last epochs of that run again, from its first snapshot
resumed() {
    local name=$1 limit=$2 first
    shift 2
    first=$(find "$work/$name/checkpoints" -name 'snapshot-*.pt' | sort | head -1)
    measured "train_pascal.py $name, resumed" "$limit" "$python" "$@" --resume "$first" \
        --output-dir "$work/$name-resumed"
}

data=()
[ -n "${VOC_ROOT:-}" ] && data=("$VOC_ROOT")
small="--backbone resnet18 --size 128 --batch-size 8 --shapes 200 --epochs 3"
adam="--optimizer adamw --lr 3e-4 --head-lr-factor 1 --loss-reduction mean"
gpus=$("$python" -c 'import torch; print(torch.cuda.device_count())')
for part in $parts; do
    case $part in
    checks)
        measured "Checks" 300 "$python" -m benchmarks.gpu_checks ;;
    training)
        measured "Training" 600 "$python" -m benchmarks.training --workers "$(nproc)" \
            --json "$out/training.json" --profile "$out/kernels.txt" ;;
    evaluation)
        measured "Evaluation" 180 "$python" -m benchmarks.evaluation ${data:+--root "${data[@]}"} \
            --objects 2000 --workers 1 4 "$(nproc)" --json "$out/evaluation.json" ;;
    curves)
        measured "bf16 against float32" 180 "$python" -m benchmarks.precision_curve --shapes 750 \
            --batch-size 5 --workers 8 --json "$out/curves.json" --picture "$out/curves.png" ;;
    runs)
        # The published loss and optimiser: its gradients overflow fp16's first scales.
        trained fp16 120 train_pascal.py $small --amp fp16
        trained average 120 train_pascal.py $small $adam --amp bf16 --ema 0.9 --corrections 0.5 \
            --hard-examples 2 --val-fraction 0.2
        # Cold compilation alone takes a minute.
        trained compiled 300 train_pascal.py $small $adam --amp bf16 --compile
        resumed average 120 train_pascal.py --no-channels-last
        trained processes 180 -m torch.distributed.run --nproc-per-node $((gpus > 1 ? 2 : 1)) \
            train_pascal.py $small $adam --amp bf16 --val-fraction 0.2 ;;
    *)
        echo "unknown part $part" >&2; exit 2 ;;
    esac
done
cat "$out/summary.md"
exit $failed
