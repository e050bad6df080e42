package org.ftcluster.cli.model;

import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.ftcluster.protocol.job.PlainValue;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** How conversations are written, where that isn't as the job says. */
final class ChatOptions {
  @Option(
      names = "--chat-template",
      paramLabel = "FILE.jinja",
      description = "How conversations are written (default: as the job, else as the model says).")
  private @Nullable Path template;

  @Option(
      names = "--chat-template-kwargs",
      paramLabel = "NAME=VALUE",
      description =
          "What the chat template is told besides, such as enable_thinking=false (default: as the"
              + " job). Can be repeated.")
  private Map<String, String> kwargs = new TreeMap<>();

  /** Null where it is as the job says. */
  @Nullable Path template() {
    return template;
  }

  /** Null where they are as the job says. */
  @Nullable Map<String, Object> kwargs() {
    if (kwargs.isEmpty()) {
      return null;
    }
    Map<String, Object> values = new TreeMap<>();
    kwargs.forEach((name, value) -> values.put(name, PlainValue.of(value)));
    return values;
  }

  /** The first of them that was given; null where none was. */
  @Nullable String given() {
    if (template != null) {
      return "--chat-template";
    }
    return kwargs.isEmpty() ? null : "--chat-template-kwargs";
  }
}
