package org.ftcluster.protocol.job;

import java.nio.file.Files;
import java.nio.file.Path;

/** Looks for the files and folders that a job names, before anything is started. */
final class ReferencedFiles {
  private final Problems problems;

  private ReferencedFiles(Problems problems) {
    this.problems = problems;
  }

  static void check(JobSpec spec, Problems problems) {
    ReferencedFiles files = new ReferencedFiles(problems);
    files.folderWith("model.path", spec.model().path(), "config.json", "a Hugging Face model");
    Path initFrom = spec.adapter().initFrom();
    if (initFrom != null) {
      files.folderWith("adapter.init_from", initFrom, "adapter_config.json", "a PEFT adapter");
    }
    files.source("data.train", spec.data().train());
    SampleSource eval = spec.data().eval();
    if (eval != null) {
      files.source("data.eval", eval);
    }
    files.folderToBe("checkpoint.path", spec.checkpoint().path());
  }

  private void folderWith(String key, Path folder, String file, String meaning) {
    if (!problems.none(key)) {
      return;
    }
    if (!Files.isDirectory(folder)) {
      problems.add(key, "names %s, but there is no such folder".formatted(folder));
    } else if (!Files.isReadable(folder.resolve(file))) {
      problems.add(key, "names %s, which is not %s: it has no %s".formatted(folder, meaning, file));
    }
  }

  private void source(String key, SampleSource source) {
    file(key + ".path", source.path());
    Path chatTemplate = source.chatTemplate();
    if (chatTemplate != null) {
      file(key + ".chat_template", chatTemplate);
    }
  }

  private void file(String key, Path file) {
    if (!problems.none(key)) {
      return;
    }
    if (!Files.isRegularFile(file)) {
      problems.add(key, "names %s, but there is no such file".formatted(file));
    } else if (!Files.isReadable(file)) {
      problems.add(key, "names %s, which can't be read".formatted(file));
    }
  }

  private void folderToBe(String key, Path folder) {
    if (problems.none(key) && Files.exists(folder) && !Files.isDirectory(folder)) {
      problems.add(key, "names %s, which is a file; give a folder".formatted(folder));
    }
  }
}
