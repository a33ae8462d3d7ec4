#!/bin/bash
# The comparison of heads in docs/evidence.md, on synthetic scenes: 24 trainings of some 2 to 3 minutes on one
# core. Run it again to continue where it was stopped.
#
#     tests/benchmarks/heads_study.sh WORK
#
# It prints the table; `python tests/benchmarks/heads_study.py WORK` prints it again.
set -eu
work=$1
here=$(dirname "$0")
export OMP_NUM_THREADS=1

data=$work/natural
[ -d "$data" ] || maskps-data synth "$data" --scale tiny --seed 7
[ -d "$data-subset" ] || maskps-data build-subset "$data" --out "$data-subset" --portion-size 1 \
  --labelme "$data/truth/labelme"

# Everything that the rows share is the recipe tiny, except for its length.
shared="--recipe tiny --set epochs=4 --set rois_per_image=16 --gallery-size 50 --arms none,masks"
field="--set embedding_features=res4_res5"
two="--set box_score_threshold=0.5 --set first_nms=0.3 --set box_nms=0.5 --set score_weighted_similarity=true"
for seed in 0 1 2; do
  while read -r name settings; do
    maskps ablate "$data" --subset "$data-subset" --run "$work/heads-$name" $shared $settings --seeds $seed </dev/null
  done <<END
single --set embedding_norm=false
neck
nae $field --set head=norm_aware
sequential $field --set head=sequential $two
END
done
python "$here/heads_study.py" "$work"
