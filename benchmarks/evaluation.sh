#!/usr/bin/env bash
# Evaluate cached features with clipfeat's own commands: CIFAKE's test images, subjects and few-shot
# curves, and generators held out in turn.
#
#   bash benchmarks/evaluation.sh DATA WEIGHTS OUT
#
# DATA holds cifake-{train,test}-*.tar and generators/manifest.csv (path,label,generator,group);
# WEIGHTS is mobilenetv2_100.tf2_in1k.safetensors. Each run is a folder in OUT with a report.html.
# Existing features and fits in OUT are reused.
set -euo pipefail
data=$(realpath "$1") weights=$(realpath "$2")
mkdir -p "$3" && cd "$3"

mobilenet=(--encoder timm:mobilenetv2_100 --weights "$weights" --encoder-arg pad_type=same
  --encoder-arg mean=0.5 --encoder-arg std=0.5)
small=(--image-size 128 --encoder-arg crop_pct=1.0)
table=(--path-col path --label-col label --group-col group)
for part in train test; do
  tars=("$data/cifake-$part"-*.tar)
  clipfeat embed "${tars[@]}" "$part.h5" "${mobilenet[@]}" "${small[@]}" --layers all --pool mean+std
  clipfeat embed "${tars[@]}" "$part-spectrum.h5" --encoder spectrum
done
clipfeat embed "$data/generators/manifest.csv" made.h5 "${table[@]}" "${mobilenet[@]}" \
  --layers all --pool mean+std
clipfeat embed "$data/generators/manifest.csv" made-spectrum.h5 "${table[@]}" --encoder spectrum

all=(--clf logreg,knn,rf,lgbm,xgb,svm,dummy --no-thumbnails)
some=(--clf logreg,svm --no-thumbnails --no-audit)
choose() {
  case $1 in
    last) suffix="" layers=(--layers last) ;;
    layers) suffix="" layers=(--layers 0,1,2,3) ;;
    spectrum) suffix=-spectrum layers=() ;;
  esac
}
for kind in last layers spectrum; do
  choose $kind
  clipfeat benchmark --train "train$suffix.h5" --test "test$suffix.h5" --group-col none "${layers[@]}" \
    "${all[@]}" -o "cifake-$kind"
  clipfeat benchmark "made$suffix.h5" "${layers[@]}" "${all[@]}" -o "made-$kind"
  clipfeat benchmark "made$suffix.h5" --leave-one-out generator --threshold balanced_accuracy \
    "${layers[@]}" "${all[@]}" -o "made-unseen-$kind"
  clipfeat benchmark "made$suffix.h5" --matrix generator --cv 3 --balance weights "${layers[@]}" \
    "${some[@]}" -o "made-matrix-$kind"
done
for kind in last layers spectrum; do
  choose $kind
  clipfeat benchmark "train$suffix.h5" --few-shot 10,100,1000 --repeats 3 --group-col none \
    "${layers[@]}" "${some[@]}" -o "cifake-few-$kind"
  clipfeat benchmark "train$suffix.h5" --leave-one-out group "${layers[@]}" "${some[@]}" \
    -o "cifake-subjects-$kind"
done
