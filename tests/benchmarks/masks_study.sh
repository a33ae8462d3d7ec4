#!/bin/bash
# The study of docs/evidence.md: what masks bring, on two synthetic sets. Some 3 minutes for each of 40 trainings
# on one core. Run it again to continue where it was stopped.
#
#     tests/benchmarks/masks_study.sh WORK start.safetensors
#
# start.safetensors is what tests/benchmarks/mobilenet_start.py writes. The tables are WORK/natural-grid/table.md
# and WORK/misleading-grid/table.md.
set -eu
work=$1
start=$2
here=$(dirname "$0")
export OMP_NUM_THREADS=1

for kind in natural misleading; do
  data=$work/$kind
  [ -d "$data" ] || maskps-data synth "$data" --scale tiny --seed 7 --backgrounds "$kind"
  [ -d "$data-subset" ] || maskps-data build-subset "$data" --out "$data-subset" --portion-size 1 \
    --labelme "$data/truth/labelme"
  mkdir -p "$data-outlines"
  # Of every fourth test image: the background sensitivity needs three passes for each person.
  ls "$data"/truth/labelme_test/*.json | awk 'NR % 4 == 1' | xargs -I{} cp {} "$data-outlines"
done

for seed in 0 1 2 3 4; do
  for kind in misleading natural; do
    arms=none,masks,shuffled
    [ "$kind" = natural ] || arms=$arms,background,mask_pooling
    data=$work/$kind
    maskps ablate "$data" --subset "$data-subset" --run "$data-grid" --recipe "$here/masks_study.toml" \
      --set pretrained="$start" --arms "$arms" --seeds "$seed" --gallery-size 50 --outlines "$data-outlines"
  done
done
