package org.ftcluster.protocol.job;

import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * The keys of a job file, taken from the components of {@link JobSpec}: {@code learningRate} of
 * {@link JobSpec.Training} is {@code training.learning_rate}.
 */
final class JobKeys {
  /** Keys below each section; the empty path is the file itself. */
  private static final Map<String, List<String>> SECTIONS = new LinkedHashMap<>();

  private static final List<String> LEAVES = new ArrayList<>();

  static {
    collect("", JobSpec.class);
  }

  private JobKeys() {}

  /** Paths of all keys that hold a value. */
  static List<String> leaves() {
    return List.copyOf(LEAVES);
  }

  static boolean isSection(String path) {
    return SECTIONS.containsKey(path);
  }

  /** Keys that may stand in a section. */
  static List<String> of(String section) {
    return SECTIONS.getOrDefault(section, List.of());
  }

  static String join(String section, String key) {
    return section.isEmpty() ? key : section + "." + key;
  }

  static List<String> split(String path) {
    return Arrays.asList(path.split("\\.", -1));
  }

  /** {@code learningRate} as {@code learning_rate}. */
  static String snake(String camel) {
    return camel.replaceAll("([a-z0-9])([A-Z])", "$1_$2").toLowerCase(Locale.ROOT);
  }

  private static void collect(String path, Class<?> section) {
    List<String> keys = new ArrayList<>();
    SECTIONS.put(path, keys);
    for (RecordComponent component : section.getRecordComponents()) {
      String key = snake(component.getName());
      keys.add(key);
      if (component.getType().isRecord()) {
        collect(join(path, key), component.getType());
      } else {
        LEAVES.add(join(path, key));
      }
    }
  }
}
