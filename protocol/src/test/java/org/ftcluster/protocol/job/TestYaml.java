package org.ftcluster.protocol.job;

import java.util.Map;
import java.util.Objects;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.constructor.SafeConstructor;

/** YAML as any other program would read it. */
final class TestYaml {
  private TestYaml() {}

  /** The value under a path such as {@code training.seed}, as text. */
  static String at(String yaml, String path) {
    Object value = new Yaml(new SafeConstructor(new LoaderOptions())).load(yaml);
    for (String key : JobKeys.split(path)) {
      value = value instanceof Map<?, ?> section ? section.get(key) : null;
    }
    return Objects.toString(value);
  }
}
