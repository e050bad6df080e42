package org.ftcluster.protocol.job;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.ftcluster.protocol.job.JobSpec.AdapterType;
import org.ftcluster.protocol.job.JobSpec.ComputeType;
import org.ftcluster.protocol.job.JobSpec.GradientCheckpointing;
import org.ftcluster.protocol.job.JobSpec.OffloadTarget;
import org.ftcluster.protocol.job.JobSpec.PreferenceLoss;
import org.ftcluster.protocol.job.JobSpec.QuantizationType;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.protocol.job.JobSpec.Scheduler;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.protocol.job.Section.Bounds;
import org.jspecify.annotations.Nullable;

/**
 * Reads job files. All that is wrong with one is found and reported at once, by a {@link
 * JobSpecException}: unknown keys, values of a wrong type or out of range, values that contradict
 * each other, what is not supported, and files that are missing.
 */
public final class JobSpecReader {
  /** Target modules that stand for every linear layer but the head. */
  public static final String ALL_LINEAR = "all-linear";

  private final Path folder;
  private final Problems problems;

  private JobSpecReader(Path folder, Problems problems) {
    this.folder = folder;
    this.problems = problems;
  }

  /**
   * Reads a job file and looks for the files that it names.
   *
   * @param sets overrides, {@code key.path=value} with a value in YAML; the last one counts
   */
  public static JobSpec read(Path file, List<String> sets) {
    String yaml;
    try {
      yaml = Files.readString(file);
    } catch (NoSuchFileException e) {
      throw unreadable(file, "there is no such file");
    } catch (CharacterCodingException e) {
      throw unreadable(file, "this is not a text file in UTF-8");
    } catch (IOException e) {
      throw unreadable(file, "this can't be read: " + e.getMessage());
    }
    Path folder = file.toAbsolutePath().normalize().getParent();
    return parse(yaml, file.toString(), folder == null ? Path.of("/") : folder, sets);
  }

  /**
   * Reads a job file's text and looks for the files that it names.
   *
   * @param source what messages call the file; without its extension, the default name of the job
   * @param folder what relative paths start from
   */
  public static JobSpec parse(String yaml, String source, Path folder, List<String> sets) {
    Problems problems = new Problems(source);
    JobSpec spec = new JobSpecReader(folder, problems).spec(yaml, source, sets);
    ReferencedFiles.check(spec, problems);
    problems.throwIfAny();
    return spec;
  }

  /**
   * Reads what {@link JobSpecWriter} wrote, on whatever machine: files that it names may be
   * elsewhere.
   */
  public static JobSpec resolved(String yaml) {
    Problems problems = new Problems("job.yaml");
    JobSpec spec = new JobSpecReader(Path.of("/"), problems).spec(yaml, "job.yaml", List.of());
    if (spec.parallel().isOpen()) {
      problems.add(
          spec.parallel().tensor() == 0 ? "parallel.tensor" : "parallel.pipeline",
          "is auto, which `ftcluster submit` and `train` choose a number for; give one");
    }
    problems.throwIfAny();
    return spec;
  }

  private JobSpec spec(String yaml, String source, List<String> sets) {
    YamlNode document = YamlParser.parse(yaml, line -> new Location(source, line), problems);
    if (!(document instanceof YamlNode.Mapping) && problems.none("")) {
      problems.add("", "this holds no keys; a job file has at least model, data and checkpoint");
    }
    if (!(document instanceof YamlNode.Mapping written)) {
      problems.throwIfAny();
      throw new IllegalStateException("no document and no problem");
    }
    YamlNode.Mapping root = Shorthands.expand(Overrides.apply(written, sets, problems));
    problems.root(root);
    UnknownKeys.check(root, problems);
    JobSpec spec = spec(new Section("", root, problems), source);
    Consistency.check(spec, problems);
    Supported.check(spec, problems);
    return spec;
  }

  private JobSpec spec(Section root, String source) {
    JobSpec.Adapter adapter = adapter(root.section("adapter"));
    return new JobSpec(
        name(root, source),
        model(root.section("model")),
        adapter,
        data(root.section("data"), root.has("preference")),
        training(root.section("training"), adapter.type()),
        root.has("preference") ? preference(root.section("preference")) : null,
        evaluation(root.section("evaluation")),
        parallel(root.section("parallel")),
        offload(root.section("offload")),
        elastic(root.section("elastic")),
        resources(root.section("resources")),
        checkpoint(root.section("checkpoint")));
  }

  private String name(Section root, String source) {
    String file = Path.of(source).getFileName().toString().replaceFirst("\\.ya?ml$", "");
    String fallback = file.replaceAll("[^A-Za-z0-9._-]", "-").replaceFirst("^[^A-Za-z0-9]+", "");
    String name = root.string("name", fallback.isEmpty() ? "job" : fallback);
    // The name becomes part of file names and addresses.
    if (!name.matches("[A-Za-z0-9][A-Za-z0-9._-]{0,62}")) {
      problems.add(
          "name",
          "must be at most 63 letters, digits, dots, dashes and underscores, and begin with a"
              + " letter or digit, not "
              + name);
    }
    return name;
  }

  private JobSpec.Model model(Section model) {
    Section quantization = model.section("quantization");
    return new JobSpec.Model(
        model.path("path", folder, "the Hugging Face model folder to start from"),
        model.choice("dtype", ComputeType.BFLOAT16),
        new JobSpec.Quantization(
            quantization.choice("type", QuantizationType.NONE),
            quantization.truth("double_quant", true)));
  }

  private JobSpec.Adapter adapter(Section adapter) {
    return new JobSpec.Adapter(
        adapter.choice("type", AdapterType.LORA),
        adapter.integer("r", 16, 1),
        adapter.integer("lora_alpha", 32, 1),
        adapter.number("lora_dropout", 0, Bounds.BELOW_ONE),
        adapter.words("target_modules", ALL_LINEAR),
        adapter.truth("use_rslora", false),
        adapter.path("init_from", folder).orElse(null));
  }

  private JobSpec.Data data(Section data, boolean pairs) {
    SourceReader sources = new SourceReader(folder, pairs);
    SampleSource train = sources.read(data.section("train"), null);
    return new JobSpec.Data(
        train,
        data.has("eval") ? sources.read(data.section("eval"), train) : null,
        data.integer("max_length", 2048, 2),
        data.truth("packing", false));
  }

  private static JobSpec.Training training(Section training, AdapterType adapter) {
    return new JobSpec.Training(
        training.number("num_train_epochs", 3, Bounds.POSITIVE),
        training.whole("max_steps", 0, 0, Long.MAX_VALUE),
        training.integer("global_batch_size", 32, 1),
        training.integer("micro_batch_size", 4, 1),
        training.number("learning_rate", 2e-4, Bounds.NOT_NEGATIVE),
        training.choice("lr_scheduler_type", Scheduler.COSINE),
        training.number("warmup_ratio", 0.03, Bounds.FRACTION),
        training.whole("warmup_steps", 0, 0, Long.MAX_VALUE),
        training.number("weight_decay", 0, Bounds.NOT_NEGATIVE),
        training.number("adam_beta1", 0.9, Bounds.BELOW_ONE),
        training.number("adam_beta2", 0.999, Bounds.BELOW_ONE),
        training.number("adam_epsilon", 1e-8, Bounds.POSITIVE),
        training.number("max_grad_norm", 1, Bounds.NOT_NEGATIVE),
        training.whole("seed", 42, 0, Long.MAX_VALUE),
        training.choice("gradient_checkpointing", GradientCheckpointing.AUTO),
        training.choice("reduction", reduction(adapter)),
        training.truth("log_samples", false));
  }

  /** Exact sums take twice the bytes of float32: little for an adapter, much for a model. */
  private static Reduction reduction(AdapterType adapter) {
    return switch (adapter) {
      case LORA -> Reduction.EXACT;
      case NONE -> Reduction.FAST;
    };
  }

  private static JobSpec.Preference preference(Section preference) {
    PreferenceLoss loss = preference.choice("loss", PreferenceLoss.DPO);
    boolean isSimpo = loss == PreferenceLoss.SIMPO;
    return new JobSpec.Preference(
        loss,
        preference.number("beta", isSimpo ? 2 : 0.1, Bounds.POSITIVE),
        preference.number("label_smoothing", 0, Bounds.BELOW_HALF),
        preference.number("gamma", isSimpo ? 0.5 : 0, Bounds.NOT_NEGATIVE));
  }

  private static JobSpec.Evaluation evaluation(Section evaluation) {
    return new JobSpec.Evaluation(
        evaluation.whole("every_steps", 0, 0, Long.MAX_VALUE),
        evaluation.truth("keep_best", false),
        evaluation.integer("patience", 0, 0));
  }

  private static JobSpec.Parallel parallel(Section parallel) {
    return new JobSpec.Parallel(
        parallel.integerOr("data", "auto", 0, 1),
        parallel.integerOr("tensor", "auto", 0, 1, 1),
        parallel.integerOr("pipeline", "auto", 0, 1, 1),
        parallel.integer("interleave", 1, 1),
        parallel.choice("sharding", Sharding.NONE, Map.of("fsdp", Sharding.ZERO3)),
        parallel.integerOr("sharding_group", "auto", 0, 2),
        parallel.truth("mirror", true));
  }

  private JobSpec.Offload offload(Section offload) {
    return new JobSpec.Offload(
        offload.choice("parameters", OffloadTarget.AUTO),
        offload.choice("optimizer", OffloadTarget.AUTO),
        offload.choice("activations", OffloadTarget.AUTO),
        offload.path("path", folder).orElse(null));
  }

  private static JobSpec.Resources resources(Section resources) {
    return new JobSpec.Resources(
        (int) resources.whole("threads", 1, 1, 1024),
        resources.choice("device", JobSpec.Device.CPU),
        (int) resources.whole("sockets", 1, 1, 16));
  }

  private static JobSpec.Elastic elastic(Section elastic) {
    return new JobSpec.Elastic(
        elastic.integer("min_workers", 1, 1), elastic.integer("max_workers", 8, 1));
  }

  private JobSpec.Checkpoint checkpoint(Section checkpoint) {
    String path = checkpoint.string("path", "");
    if (path.startsWith("s3:")) {
      problems.add(
          "checkpoint.path",
          "is %s, but must be a folder on the workers' machines; add checkpoint.remote: %s for a copy there"
              .formatted(path, path));
    }
    return new JobSpec.Checkpoint(
        checkpoint.path("path", folder, "the folder that results and checkpoints go to"),
        checkpoint.whole("every_steps", 0, 0, Long.MAX_VALUE),
        checkpoint.integer("keep", 3, 1),
        checkpoint.truth("overwrite", false),
        RemoteCheck.read(checkpoint, folder),
        orNull(checkpoint.string("endpoint", "")),
        orNull(checkpoint.string("region", "")));
  }

  private static @Nullable String orNull(String text) {
    return text.isBlank() ? null : text;
  }

  private static JobSpecException unreadable(Path file, String problem) {
    return new JobSpecException(List.of(new Problem(file.toString(), "", problem)));
  }
}
