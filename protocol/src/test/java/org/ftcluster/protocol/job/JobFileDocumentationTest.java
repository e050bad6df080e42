package org.ftcluster.protocol.job;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Holds {@code docs/job-file.md} to what the reader does. */
class JobFileDocumentationTest {
  private static final Path PAGE = Path.of("../docs/job-file.md");

  /** A row of a table of keys: key, type, default. */
  private static final Pattern ROW =
      Pattern.compile("^\\| `([a-z_0-9.]+)` \\|([^|]*)\\| ([^|]*) \\|", Pattern.MULTILINE);

  private static final Pattern YAML = Pattern.compile("```yaml\\n(.*?)```", Pattern.DOTALL);

  @TempDir Path folder;

  @Test
  void everyKeyIsDocumentedWithItsDefault() throws IOException {
    JobFolder.fill(folder);
    String defaults =
        JobSpecWriter.toYaml(JobSpecReader.parse(JobFolder.MINIMAL, "job.yaml", folder, List.of()));
    Map<String, String> documented = new LinkedHashMap<>();
    Matcher row = ROW.matcher(Files.readString(PAGE));
    while (row.find()) {
      documented.put(row.group(1), row.group(3));
    }

    assertEquals(JobKeys.leaves(), List.copyOf(documented.keySet()));
    documented.forEach(
        (key, text) -> {
          if (text.startsWith("`")) { // the others are words: required, none, the file's name
            assertEquals(normal(TestYaml.at(defaults, key)), normal(text.replace("`", "")), key);
          }
        });
  }

  @Test
  void examplesAreValid() throws IOException {
    JobFolder.fill(folder);
    Matcher example = YAML.matcher(Files.readString(PAGE));
    int examples = 0;
    for (; example.find(); examples++) {
      JobSpecReader.parse(example.group(1), "job.yaml", folder, List.of());
    }
    assertEquals(5, examples);
  }

  /** Numbers in one form: 2e-4 is 2.0E-4. */
  private static String normal(String text) {
    return text.matches("[0-9].*") ? Double.toString(Double.parseDouble(text)) : text;
  }
}
