package org.ftcluster.protocol.job;

import java.lang.reflect.RecordComponent;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.yaml.snakeyaml.DumperOptions;
import org.yaml.snakeyaml.Yaml;

/** Writes a job as a job file with every default filled in and every path absolute. */
public final class JobSpecWriter {
  private JobSpecWriter() {}

  /** What {@link JobSpecReader} reads as an equal spec, from any folder. */
  public static String toYaml(JobSpec spec) {
    DumperOptions options = new DumperOptions();
    options.setDefaultFlowStyle(DumperOptions.FlowStyle.BLOCK);
    options.setSplitLines(false);
    options.setAllowUnicode(true);
    return new Yaml(options).dump(section("", spec));
  }

  private static Map<String, Object> section(String path, Record section) {
    Map<String, Object> keys = new LinkedHashMap<>();
    for (RecordComponent component : section.getClass().getRecordComponents()) {
      String key = JobKeys.snake(component.getName());
      Object value = value(JobKeys.join(path, key), get(component, section));
      if (value != null) {
        keys.put(key, value);
      }
    }
    return keys;
  }

  private static @Nullable Object value(String path, @Nullable Object value) {
    return switch (value) {
      case null -> null;
      case Record section -> section(path, section);
      case Enum<?> choice -> Section.word(choice);
      case Path file -> file.toString();
      case Map<?, ?> settings when settings.isEmpty() -> null;
      case List<?> fields when fields.isEmpty() -> null;
      case List<?> fields when path.startsWith("data.") && fields.size() == 1 -> fields.getFirst();
      case List<?> words when words.equals(List.of(JobSpecReader.ALL_LINEAR)) ->
          JobSpecReader.ALL_LINEAR;
      case List<?> words -> new ArrayList<>(words); // the same list twice would be an alias
      case Integer ranks when path.startsWith("parallel.") && ranks == 0 -> "auto";
      case Map<?, ?> settings -> new LinkedHashMap<>(settings);
      default -> value;
    };
  }

  private static @Nullable Object get(RecordComponent component, Record section) {
    try {
      return component.getAccessor().invoke(section);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("can't read " + component, e);
    }
  }
}
