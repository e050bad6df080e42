package org.ftcluster.protocol.job;

import java.util.Comparator;
import java.util.List;
import java.util.Map;

/** Refuses keys that a job file doesn't have, and names the one that was meant. */
final class UnknownKeys {
  /** What other tools call it, and the key here. */
  private static final Map<String, String> ELSEWHERE =
      Map.ofEntries(
          Map.entry("per_device_train_batch_size", "training.micro_batch_size"),
          Map.entry("gradient_accumulation_steps", "training.global_batch_size"),
          Map.entry("batch_size", "training.global_batch_size"),
          Map.entry("epochs", "training.num_train_epochs"),
          Map.entry("lr", "training.learning_rate"),
          Map.entry("lora_r", "adapter.r"),
          Map.entry("rank", "adapter.r"),
          Map.entry("alpha", "adapter.lora_alpha"),
          Map.entry("load_in_4bit", "model.quantization.type"),
          Map.entry("load_in_8bit", "model.quantization.type"),
          Map.entry("bnb_4bit_use_double_quant", "model.quantization.double_quant"),
          Map.entry("bf16", "model.dtype"),
          Map.entry("torch_dtype", "model.dtype"),
          Map.entry("model_name_or_path", "model.path"),
          Map.entry("max_seq_length", "data.max_length"),
          Map.entry("output_dir", "checkpoint.path"),
          Map.entry("save_steps", "checkpoint.every_steps"),
          Map.entry("eval_steps", "evaluation.every_steps"),
          Map.entry("load_best_model_at_end", "evaluation.keep_best"),
          Map.entry("early_stopping_patience", "evaluation.patience"),
          Map.entry("loss_type", "preference.loss"),
          Map.entry("rl", "preference.loss"),
          Map.entry("pref_beta", "preference.beta"),
          Map.entry("simpo_gamma", "preference.gamma"),
          Map.entry("save_total_limit", "checkpoint.keep"));

  private UnknownKeys() {}

  static void check(YamlNode.Mapping root, Problems problems) {
    check("", root, problems);
  }

  private static void check(String section, YamlNode.Mapping mapping, Problems problems) {
    mapping
        .entries()
        .forEach(
            (key, entry) -> {
              String path = JobKeys.join(section, key);
              if (!JobKeys.of(section).contains(key)) {
                problems.add(
                    entry.keyAt(),
                    path,
                    "is unknown; the nearest known key is %s".formatted(meant(section, key)));
              } else if (JobKeys.isSection(path)
                  && entry.value() instanceof YamlNode.Mapping below) {
                check(path, below, problems);
              }
            });
  }

  /** The known key that {@code key} most likely stands for. */
  private static String meant(String section, String key) {
    String elsewhere = ELSEWHERE.get(key);
    if (elsewhere != null) {
      return elsewhere;
    }
    List<String> here =
        JobKeys.of(section).stream().map(known -> JobKeys.join(section, known)).toList();
    String nearest = nearest(key, here);
    if (likely(key, nearest)) {
      return nearest;
    }
    String anywhere = nearest(key, JobKeys.leaves());
    return likely(key, anywhere) ? anywhere : nearest;
  }

  private static String nearest(String key, List<String> paths) {
    return paths.stream()
        .min(Comparator.comparingInt(path -> distance(key, lastName(path))))
        .orElseThrow();
  }

  private static boolean likely(String key, String path) {
    int distance = distance(key, lastName(path));
    return distance <= Math.max(1, key.length() / 3) && distance < key.length();
  }

  private static String lastName(String path) {
    return JobKeys.split(path).getLast();
  }

  /** Levenshtein's: characters to insert, delete or replace. */
  static int distance(String a, String b) {
    int[] row = new int[b.length() + 1];
    for (int j = 0; j < row.length; j++) {
      row[j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int replaced = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(replaced, 1 + Math.min(row[j], row[j - 1]));
      }
    }
    return row[b.length()];
  }
}
