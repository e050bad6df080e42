package org.ftcluster.worker.data;

import java.util.List;
import org.ftcluster.worker.jinja.Template.Span;

/**
 * A conversation as text.
 *
 * @param answers what the model is to learn of it: the assistant's messages and what ends them
 */
public record ChatText(String text, List<Span> answers) {}
