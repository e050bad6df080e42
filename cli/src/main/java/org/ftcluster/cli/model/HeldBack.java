package org.ftcluster.cli.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.data.JsonlReader;
import org.ftcluster.worker.data.PromptTemplate;

/** A sample as text: what a model is given, and what it should answer. */
record HeldBack(String prompt, String response) {
  /** The first {@code limit} samples of a data set. */
  static List<HeldBack> read(JobSpec.Source source, int limit) {
    PromptTemplate prompt = PromptTemplate.of(source.prompt());
    PromptTemplate response = PromptTemplate.of(source.response());
    List<HeldBack> samples = new ArrayList<>();
    try (JsonlReader reader = JsonlReader.open(source.path())) {
      for (JsonlReader.Line line = reader.next();
          line != null && samples.size() < limit;
          line = reader.next()) {
        JsonNode fields = line.fields();
        samples.add(new HeldBack(prompt.fill(line, fields), response.fill(line, fields)));
      }
    }
    return samples;
  }
}
