package org.ftcluster.worker.checkpoint;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.TreeSet;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.ftcluster.protocol.job.SampleSource;
import org.ftcluster.worker.data.ChatTemplate;
import org.jspecify.annotations.Nullable;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.constructor.SafeConstructor;

/**
 * What tells whether a checkpoint is of this job: all settings, and the content of all files, that
 * decide what is learned. What is left out decides where and how it is computed, and may change
 * between a checkpoint and going on from it. Kept in words, so that a difference can be named.
 *
 * @param settings by key of the job file; where that names a file, what is in it instead of its
 *     path
 */
record JobIdentity(Map<String, String> settings) {
  private static final List<String> LEFT_OUT =
      List.of(
          "name",
          "evaluation",
          "parallel",
          "offload",
          "elastic",
          "resources",
          "checkpoint",
          "training.micro_batch_size",
          "training.gradient_checkpointing",
          "training.reduction",
          "training.log_samples");

  private static final int DIFFERENCES_NAMED = 3;

  JobIdentity {
    settings = Collections.unmodifiableSortedMap(new TreeMap<>(settings));
  }

  /**
   * The job's, whose files are read: data whole, weights in part.
   *
   * @throws org.ftcluster.protocol.job.BadJobException when a file can't be read
   */
  static JobIdentity of(JobSpec spec) {
    Map<String, String> settings = new TreeMap<>();
    Map<String, Object> job =
        new Yaml(new SafeConstructor(new LoaderOptions())).load(JobSpecWriter.toYaml(spec));
    flatten("", job, settings);
    settings.put("model.path", FileContent.ofModel("model.path", spec.model().path()));
    Path initFrom = spec.adapter().initFrom();
    if (initFrom != null) {
      settings.put(
          "adapter.init_from",
          FileContent.ofFile("adapter.init_from", initFrom.resolve(PeftAdapter.WEIGHTS)));
    }
    source("data.train", spec.data().train(), spec, settings);
    SampleSource eval = spec.data().eval();
    if (eval != null) {
      source("data.eval", eval, spec, settings);
    }
    return new JobIdentity(settings);
  }

  private static void source(
      String key, SampleSource source, JobSpec spec, Map<String, String> settings) {
    settings.put(key + ".path", FileContent.ofFile(key + ".path", source.path()));
    if (source.isChats()) {
      String template = key + ".chat_template";
      Path own = source.chatTemplate();
      String models = FileContent.ofFiles(template, spec.model().path(), ChatTemplate.FILES);
      settings.put(
          template, own == null ? models : models + " and " + FileContent.ofFile(template, own));
    }
  }

  /** Whether a setting is the content of a file. */
  private static boolean isContent(String key) {
    return key.endsWith(".path")
        || key.endsWith(".chat_template")
        || key.equals("adapter.init_from");
  }

  private static void flatten(String path, Map<?, ?> section, Map<String, String> settings) {
    section.forEach(
        (name, value) -> {
          String key = path.isEmpty() ? name.toString() : path + "." + name;
          if (LEFT_OUT.contains(key)) {
            return;
          }
          if (value instanceof Map<?, ?> below) {
            flatten(key, below, settings);
          } else {
            settings.put(key, String.valueOf(value));
          }
        });
  }

  /** The same for the same job, and hardly ever for another. */
  long hash() {
    return ByteBuffer.wrap(Checksums.sha256().digest(settings.toString().getBytes(UTF_8)))
        .getLong();
  }

  /**
   * How this job differs from another, in words: {@code training.seed is 7 here and 42 there}.
   * Empty where it doesn't.
   */
  String differencesFrom(JobIdentity other) {
    TreeSet<String> keys = new TreeSet<>(settings.keySet());
    keys.addAll(other.settings.keySet());
    keys.removeIf(key -> Objects.equals(settings.get(key), other.settings.get(key)));
    List<String> differences = new ArrayList<>();
    for (String key : keys) {
      if (differences.size() == DIFFERENCES_NAMED) {
        differences.add("%d more differ".formatted(keys.size() - DIFFERENCES_NAMED));
        break;
      }
      differences.add(difference(key, settings.get(key), other.settings.get(key)));
    }
    return String.join(", ", differences);
  }

  private static String difference(String key, @Nullable String here, @Nullable String there) {
    if (isContent(key) && here != null && there != null) {
      return key + " has other content";
    }
    return "%s is %s here and %s there".formatted(key, word(key, here), word(key, there));
  }

  private static String word(String key, @Nullable String value) {
    if (value == null) {
      return "not given";
    }
    return isContent(key) ? "given" : value;
  }
}
