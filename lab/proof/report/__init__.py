"""The results of spikes as one page for people: tables and charts. Draws what was counted, counts nothing."""
