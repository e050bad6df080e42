package org.ftcluster.protocol.job;

import java.util.Locale;
import org.ftcluster.protocol.job.JobSpec.AdapterType;
import org.ftcluster.protocol.job.JobSpec.OffloadTarget;
import org.ftcluster.protocol.job.JobSpec.PreferenceLoss;
import org.ftcluster.protocol.job.JobSpec.QuantizationType;
import org.ftcluster.protocol.job.JobSpec.Sharding;

/** Values that are fine alone and make no sense together. */
final class Consistency {
  private Consistency() {}

  static void check(JobSpec spec, Problems problems) {
    JobSpec.Training training = spec.training();
    if (problems.none("training.micro_batch_size", "training.global_batch_size")
        && training.microBatchSize() > training.globalBatchSize()) {
      problems.add(
          "training.micro_batch_size",
          "is %d, but must not be above training.global_batch_size, which is %d"
              .formatted(training.microBatchSize(), training.globalBatchSize()));
    }
    JobSpec.Elastic elastic = spec.elastic();
    if (problems.none("elastic.min_workers", "elastic.max_workers")
        && elastic.minWorkers() > elastic.maxWorkers()) {
      problems.add(
          "elastic.min_workers",
          "is %d, but must not be above elastic.max_workers, which is %d"
              .formatted(elastic.minWorkers(), elastic.maxWorkers()));
    }
    checkPreference(spec, problems);
    checkEvaluation(spec, problems);
    checkMesh(spec, problems);
    checkShardingGroup(spec.parallel(), problems);
    if (spec.adapter().type() == AdapterType.NONE
        && spec.model().quantization().type() != QuantizationType.NONE) {
      problems.add(
          "model.quantization.type",
          "must be none where adapter.type is none: every weight is trained, and packed weights can't be");
    }
    if (spec.adapter().type() == AdapterType.NONE && spec.adapter().initFrom() != null) {
      problems.add(
          "adapter.init_from", "names an adapter, but adapter.type is none; leave one out");
    }
    if (problems.none("checkpoint.path", "model.path")
        && spec.checkpoint().path().equals(spec.model().path())) {
      problems.add("checkpoint.path", "is the model's own folder; give another one");
    }
    checkOffload(spec, problems);
    RemoteCheck.check(spec.checkpoint(), problems);
  }

  private static void checkPreference(JobSpec spec, Problems problems) {
    JobSpec.Preference preference = spec.preference();
    if (preference == null) {
      return;
    }
    PreferenceLoss loss = preference.loss();
    String name = loss.name().toLowerCase(Locale.ROOT);
    if (loss != PreferenceLoss.DPO && preference.labelSmoothing() > 0) {
      problems.add(
          "preference.label_smoothing", "is for loss dpo, not %s; leave it out".formatted(name));
    }
    if (loss != PreferenceLoss.SIMPO && preference.gamma() > 0) {
      problems.add("preference.gamma", "is for loss simpo, not %s; leave it out".formatted(name));
    }
    if (spec.data().packing()) {
      problems.add(
          "data.packing",
          "is true, but pairs of answers aren't packed; leave it out, or preference");
    }
    if (!loss.needsReference()) {
      return;
    }
    if (spec.adapter().type() == AdapterType.NONE) {
      problems.add(
          "preference.loss",
          "is %s, which compares the model with what it was before, but adapter.type none leaves nothing of that; give simpo or orpo, or train an adapter"
              .formatted(name));
    }
    if (spec.adapter().initFrom() != null) {
      problems.add(
          "adapter.init_from",
          "is given, but preference.loss %s compares with the model without its adapter; make one model of both with `ftcluster merge` and begin from that"
              .formatted(name));
    }
  }

  private static void checkEvaluation(JobSpec spec, Problems problems) {
    JobSpec.Evaluation evaluation = spec.evaluation();
    if (evaluation.everySteps() > 0 && spec.data().eval() == null) {
      problems.add(
          "evaluation.every_steps",
          "is %d, but there is nothing to evaluate; give data.eval, or leave it out"
              .formatted(evaluation.everySteps()));
    }
    if (evaluation.everySteps() > 0) {
      return;
    }
    String needed = "but evaluation.every_steps is 0; give the steps between evaluations, or ";
    if (evaluation.keepBest()) {
      problems.add("evaluation.keep_best", "is true, " + needed + "leave it out");
    }
    if (evaluation.patience() > 0) {
      problems.add(
          "evaluation.patience",
          "is %d, ".formatted(evaluation.patience()) + needed + "leave it out");
    }
  }

  private static void checkOffload(JobSpec spec, Problems problems) {
    OffloadTarget parameters = spec.offload().parameters();
    if (parameters == OffloadTarget.AUTO || parameters == OffloadTarget.NONE) {
      return;
    }
    String is = "is %s, but ".formatted(parameters.name().toLowerCase(Locale.ROOT));
    if (spec.parallel().sharding() == Sharding.ZERO3) {
      problems.add(
          "offload.parameters",
          is + "parallel.sharding is zero3, which shares the same weights out; leave one out");
    }
    if (spec.adapter().type() == AdapterType.NONE) {
      problems.add(
          "offload.parameters",
          is + "adapter.type is none, which leaves no frozen weights; leave it out");
    }
  }

  private static void checkShardingGroup(JobSpec.Parallel parallel, Problems problems) {
    int group = parallel.shardingGroup();
    if (group == 0 || !problems.none("parallel.sharding", "parallel.sharding_group")) {
      return;
    }
    String problem = "";
    if (parallel.sharding() == Sharding.NONE && !parallel.isOpen()) {
      problem = "but parallel.sharding is none; give zero1, zero2 or zero3, or leave it out";
    } else if (!parallel.isOpen() && group % parallel.replicaRanks() != 0) {
      problem =
          "but must be a multiple of the %d workers that a copy of the model takes"
              .formatted(parallel.replicaRanks());
    } else if (parallel.data() * parallel.replicaRanks() % group != 0) {
      problem =
          "but must divide the %d workers of parallel.data, tensor and pipeline"
              .formatted(parallel.data() * parallel.replicaRanks());
    }
    if (!problem.isEmpty()) {
      problems.add("parallel.sharding_group", "is %d, %s".formatted(group, problem));
    }
  }

  private static void checkMesh(JobSpec spec, Problems problems) {
    JobSpec.Parallel parallel = spec.parallel();
    if (parallel.interleave() > 1 && parallel.pipeline() == 1) {
      problems.add(
          "parallel.interleave",
          "is %d, but there is one stage only; give parallel.pipeline 2 or more, or leave it out"
              .formatted(parallel.interleave()));
    }
    int replicas = Math.max(1, parallel.data());
    long ranks = (long) replicas * parallel.tensor() * parallel.pipeline();
    if (!problems.none(
            "parallel.data", "parallel.tensor", "parallel.pipeline", "elastic.max_workers")
        || ranks <= spec.elastic().maxWorkers()) {
      return;
    }
    String limit = "elastic.max_workers, which is %d".formatted(spec.elastic().maxWorkers());
    if (ranks == replicas) {
      problems.add("parallel.data", "is %d, but must not be above %s".formatted(replicas, limit));
    } else {
      problems.add(
          parallel.tensor() > 1 ? "parallel.tensor" : "parallel.pipeline",
          "is %d, but data %d x tensor %d x pipeline %d are %d workers, which must not be above %s"
              .formatted(
                  parallel.tensor() > 1 ? parallel.tensor() : parallel.pipeline(),
                  replicas,
                  parallel.tensor(),
                  parallel.pipeline(),
                  ranks,
                  limit));
    }
  }
}
