package org.ftcluster.protocol.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec.Adapter;
import org.ftcluster.protocol.job.JobSpec.AdapterType;
import org.ftcluster.protocol.job.JobSpec.Checkpoint;
import org.ftcluster.protocol.job.JobSpec.ComputeType;
import org.ftcluster.protocol.job.JobSpec.Data;
import org.ftcluster.protocol.job.JobSpec.Device;
import org.ftcluster.protocol.job.JobSpec.Elastic;
import org.ftcluster.protocol.job.JobSpec.Evaluation;
import org.ftcluster.protocol.job.JobSpec.GradientCheckpointing;
import org.ftcluster.protocol.job.JobSpec.Model;
import org.ftcluster.protocol.job.JobSpec.Offload;
import org.ftcluster.protocol.job.JobSpec.OffloadTarget;
import org.ftcluster.protocol.job.JobSpec.Parallel;
import org.ftcluster.protocol.job.JobSpec.Quantization;
import org.ftcluster.protocol.job.JobSpec.QuantizationType;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.protocol.job.JobSpec.Resources;
import org.ftcluster.protocol.job.JobSpec.Scheduler;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.protocol.job.JobSpec.Training;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class JobSpecReaderTest {
  private static final String EVERYTHING =
      """
      name: decompile
      model: {path: base, dtype: float32, quantization: {type: nf4, double_quant: false}}
      adapter:
        type: lora
        r: 8
        lora_alpha: 24
        lora_dropout: 0.1
        target_modules: [q_proj, v_proj]
        use_rslora: true
        init_from: adapter
      data:
        train: {path: train.jsonl, prompt: "### In:\\n{in}\\n", response: "{out}"}
        eval: {path: eval.jsonl}
        max_length: 512
        packing: true
      training:
        num_train_epochs: 1.5
        max_steps: 100
        global_batch_size: 16
        micro_batch_size: 2
        learning_rate: 1e-3
        lr_scheduler_type: linear
        warmup_ratio: 0.1
        warmup_steps: 10
        weight_decay: 0.01
        adam_beta1: 0.8
        adam_beta2: 0.99
        adam_epsilon: 1e-6
        max_grad_norm: 0
        seed: 7
        gradient_checkpointing: true
        reduction: fast
        log_samples: true
      evaluation:
        every_steps: 20
        keep_best: true
        patience: 3
      parallel: {data: 1, tensor: 2, pipeline: 2, interleave: 3, sharding: none, mirror: false}
      offload: {parameters: disk, optimizer: none, activations: disk, path: ../scratch}
      elastic: {min_workers: 2, max_workers: 4}
      resources: {threads: 3, sockets: 4}
      checkpoint: {path: ../out, every_steps: 50, keep: 5, overwrite: true, remote: s3://bucket/runs/7, endpoint: "http://10.0.0.1:9000", region: eu-central-1}
      """;

  @TempDir Path root;
  private Path folder;

  @BeforeEach
  void files() throws IOException {
    folder = JobFolder.fill(Files.createDirectory(root.resolve("jobs")));
  }

  @Test
  void fillsInDefaults() throws IOException {
    JobSpec expected =
        new JobSpec(
            "my-job",
            new Model(
                folder.resolve("base"),
                ComputeType.BFLOAT16,
                new Quantization(QuantizationType.NONE, true)),
            new Adapter(AdapterType.LORA, 16, 32, 0, List.of("all-linear"), false, null),
            new Data(
                SampleSource.ofTexts(folder.resolve("train.jsonl"), "{prompt}", "{completion}"),
                null,
                2048,
                false),
            new Training(
                3,
                0,
                32,
                4,
                2e-4,
                Scheduler.COSINE,
                0.03,
                0,
                0,
                0.9,
                0.999,
                1e-8,
                1,
                42,
                GradientCheckpointing.AUTO,
                Reduction.EXACT,
                false),
            null,
            new Evaluation(0, false, 0),
            new Parallel(0, 1, 1, 1, Sharding.NONE, 0, true),
            new Offload(OffloadTarget.AUTO, OffloadTarget.AUTO, OffloadTarget.AUTO, null),
            new Elastic(1, 8),
            new Resources(1, Device.CPU, 1),
            new Checkpoint(folder.resolve("out"), 0, 3, false, null, null, null));

    Path file = Files.writeString(folder.resolve("my job.yaml"), JobFolder.MINIMAL);

    assertEquals(expected, JobSpecReader.read(file, List.of()));
  }

  @Test
  void readsEveryKey() {
    JobSpec expected =
        new JobSpec(
            "decompile",
            new Model(
                folder.resolve("base"),
                ComputeType.FLOAT32,
                new Quantization(QuantizationType.NF4, false)),
            new Adapter(
                AdapterType.LORA,
                8,
                24,
                0.1,
                List.of("q_proj", "v_proj"),
                true,
                folder.resolve("adapter")),
            new Data(
                SampleSource.ofTexts(folder.resolve("train.jsonl"), "### In:\n{in}\n", "{out}"),
                SampleSource.ofTexts(folder.resolve("eval.jsonl"), "### In:\n{in}\n", "{out}"),
                512,
                true),
            new Training(
                1.5,
                100,
                16,
                2,
                1e-3,
                Scheduler.LINEAR,
                0.1,
                10,
                0.01,
                0.8,
                0.99,
                1e-6,
                0,
                7,
                GradientCheckpointing.TRUE,
                Reduction.FAST,
                true),
            null,
            new Evaluation(20, true, 3),
            new Parallel(1, 2, 2, 3, Sharding.NONE, 0, false),
            new Offload(
                OffloadTarget.DISK,
                OffloadTarget.NONE,
                OffloadTarget.DISK,
                root.resolve("scratch")),
            new Elastic(2, 4),
            new Resources(3, Device.CPU, 4),
            new Checkpoint(
                root.resolve("out"),
                50,
                5,
                true,
                "s3://bucket/runs/7",
                "http://10.0.0.1:9000",
                "eu-central-1"));

    assertEquals(expected, parse(EVERYTHING));
  }

  @Test
  void everyKeyOfTheSpecIsReadFromTheFile() {
    String defaults = JobSpecWriter.toYaml(parse(JobFolder.MINIMAL));
    String changed = JobSpecWriter.toYaml(parse(EVERYTHING));
    // An adapter of type none, shares, GPUs, conversations and pairs go with fewer settings than
    // there are.
    List<String> fixed =
        List.of(
            "adapter.type",
            "parallel.sharding",
            "parallel.sharding_group",
            "resources.device",
            "data.train.messages",
            "data.train.chat_template",
            "data.train.chat_template_kwargs",
            "data.eval.messages",
            "data.eval.chat_template",
            "data.eval.chat_template_kwargs");
    List<String> same =
        JobKeys.leaves().stream()
            .filter(key -> !fixed.contains(key))
            .filter(key -> !key.matches("preference.*|data.*(chosen|rejected).*"))
            .filter(key -> TestYaml.at(defaults, key).equals(TestYaml.at(changed, key)))
            .toList();
    assertEquals(List.of("model.path", "data.train.path"), same);
  }

  @Test
  void writesWhatItReads() {
    for (String yaml : List.of(JobFolder.MINIMAL, EVERYTHING)) {
      JobSpec spec = parse(yaml);
      assertEquals(spec, JobSpecReader.resolved(JobSpecWriter.toYaml(spec)));
    }
  }

  @Test
  void writesAnyTemplateSoThatItReadsTheSame() {
    for (String template :
        List.of("  two\n\n spaces \t", "null", "1e3", "{a}: #b\n---\n'\"\\", "é漢🙂\r\n", "[x]")) {
      JobSpec spec = parse(JobFolder.MINIMAL);
      Data data = spec.data();
      SampleSource train = SampleSource.ofTexts(data.train().path(), template, template);
      JobSpec changed =
          new JobSpec(
              spec.name(),
              spec.model(),
              spec.adapter(),
              new Data(train, null, data.maxLength(), data.packing()),
              spec.training(),
              spec.preference(),
              spec.evaluation(),
              spec.parallel(),
              spec.offload(),
              spec.elastic(),
              spec.resources(),
              spec.checkpoint());
      assertEquals(changed, JobSpecReader.resolved(JobSpecWriter.toYaml(changed)));
    }
  }

  @Test
  void resolvedJobsAreReadWhereTheirFilesAreNot() {
    String yaml = JobSpecWriter.toYaml(parse(JobFolder.MINIMAL)).replace(root.toString(), "/gone");

    assertEquals(Path.of("/gone/jobs/base"), JobSpecReader.resolved(yaml).model().path());
  }

  @Test
  void nullIsAsGoodAsNotThere() {
    JobSpec spec =
        parse(JobFolder.MINIMAL + "training:\nresources: ~\nelastic: {max_workers: null}\n");
    assertEquals(8, spec.elastic().maxWorkers());
    assertEquals(42, spec.training().seed());
    assertNull(spec.data().eval());
  }

  @Test
  void setsComeOverTheFile() {
    JobSpec spec =
        parse(
            EVERYTHING,
            "training.learning_rate=5e-5",
            "training.seed=8",
            "training.seed=9",
            "adapter.target_modules=[o_proj]",
            "elastic={max_workers: 5}",
            "data.train.prompt=### Question:",
            "data.train.response=\"{answer}\"",
            "evaluation=null",
            "data.eval=null");
    assertEquals(5e-5, spec.training().learningRate());
    assertEquals(9, spec.training().seed());
    assertEquals(List.of("o_proj"), spec.adapter().targetModules());
    assertEquals(new Elastic(1, 5), spec.elastic());
    assertEquals("### Question:", spec.data().train().prompt());
    assertEquals("{answer}", spec.data().train().response());
    assertNull(spec.data().eval());
  }

  @Test
  void aJobRunsOnAGpuWhereItSaysSo() {
    JobSpec spec = parse(JobFolder.MINIMAL, "resources.device=cuda");
    assertEquals(new Resources(1, Device.CUDA, 1), spec.resources());
  }

  @Test
  void setsReachSectionsThatTheFileLeavesOut() {
    JobSpec spec = parse(JobFolder.MINIMAL, "model.quantization.type=nf4", "resources.threads=2");
    assertEquals(QuantizationType.NF4, spec.model().quantization().type());
    assertEquals(new Resources(2, Device.CPU, 1), spec.resources());
  }

  private JobSpec parse(String yaml, String... sets) {
    return JobSpecReader.parse(yaml, "job.yaml", folder, List.of(sets));
  }
}
